"""PostgreSQL killed again and again below a receiver with requests: it comes back, nothing acknowledged is lost."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.collector.embedded import postmaster
from tests import postgres
from tests.acceptance.receiver_process import Serving, get, rows, up
from tests.waiting import TIMEOUT, until

Send = Callable[[bytes], bool]
METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
TRACE = bytes(range(16))
BETWEEN = 10  # requests acknowledged on each transport between two kills


class Load:
    """Requests of one span each on one transport, one after the other, from a thread; which were acknowledged."""

    def __init__(self, receiver: Serving, transport: str) -> None:
        self.acknowledged: list[str] = []
        self.errors: list[Exception] = []
        self._receiver = receiver
        self._first_byte = {"grpc": b"\x01", "http": b"\x02"}[transport]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._send_all, args=(transport,), name=f"load-{transport}")

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(TIMEOUT)

    def _send_all(self, transport: str) -> None:
        try:
            with self._grpc() if transport == "grpc" else self._http() as send:
                number = 0
                while not self._stopped.is_set():
                    number += 1
                    span_id = self._first_byte + number.to_bytes(7, "big")
                    request = ExportTraceServiceRequest()
                    request.resource_spans.add().scope_spans.add().spans.add(
                        trace_id=TRACE, span_id=span_id, name="load", kind=1, start_time_unix_nano=10**18 + number,
                        end_time_unix_nano=10**18 + number + 1,
                    )  # fmt: skip
                    if send(request.SerializeToString()):
                        self.acknowledged.append(span_id.hex())
        except Exception as error:  # noqa: BLE001 (told by the test)
            self.errors.append(error)

    @contextmanager
    def _grpc(self) -> Iterator[Send]:
        with grpc.insecure_channel(self._receiver.grpc) as channel:
            call = channel.unary_unary(METHOD)

            def send(request: bytes) -> bool:
                try:
                    call(request, timeout=TIMEOUT)
                except grpc.RpcError as error:
                    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
                        return False  # "later, please" is an honest answer
                    raise
                return True

            yield send

    @contextmanager
    def _http(self) -> Iterator[Send]:
        headers = {"Content-Type": "application/x-protobuf"}
        with httpx.Client(timeout=TIMEOUT, headers=headers) as client:

            def send(request: bytes) -> bool:
                status = client.post(f"{self._receiver.http}/v1/traces", content=request).status_code
                assert status in (200, 429, 503), status
                return status == 200

            yield send


def kill_and_await(data: Path, receiver: Serving, loads: list[Load]) -> None:
    """Kills the postmaster between requests that are on their way; returns when another one serves them."""
    before = [len(load.acknowledged) for load in loads]
    until(lambda: arrived(loads, before), "requests to be acknowledged")
    found = postmaster.find(data / "postgres")
    assert found is not None
    found.process.kill()

    def back() -> bool:
        other = postmaster.find(data / "postgres")
        return other is not None and other.ready and other.process.pid != found.process.pid

    until(back, "another server")
    until(lambda: get(f"{receiver.http}/readyz").status_code == 200, "a receiver that is ready again")


def arrived(loads: list[Load], before: list[int]) -> bool:
    for load in loads:
        assert not load.errors, load.errors
    return all(len(load.acknowledged) >= start + BETWEEN for load, start in zip(loads, before, strict=True))


def kill_again_and_again(times: int) -> None:
    with postgres.temporary_data() as folder, up(folder / "data") as process:
        receiver = Serving(process, process.ready())
        with Load(receiver, "grpc") as by_grpc, Load(receiver, "http") as by_http:
            for _ in range(times):
                kill_and_await(folder / "data", receiver, [by_grpc, by_http])
        acknowledged = {*by_grpc.acknowledged, *by_http.acknowledged}

        def stored() -> set[str]:
            return {row["span_id"] for row in rows(receiver.dsn, "SELECT span_id FROM otel.spans")}

        assert not by_grpc.errors + by_http.errors
        until(lambda: acknowledged <= stored(), f"all of the {len(acknowledged)} acknowledged spans")
        assert process.errors.count("restarting it") == times
        assert process.stop() == 0, process.errors


def test_postgresql_that_is_killed_below_requests_comes_back_with_all_that_was_acknowledged() -> None:
    kill_again_and_again(3)


@pytest.mark.restarts
@pytest.mark.timeout(1800)
def test_fifty_times() -> None:
    kill_again_and_again(50)
