"""Requests with odd headers, sent to a real receiver by hand: none ends gRPC, floods the log, or costs others data."""

import contextlib
import resource
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.collector.embedded import Cluster
from otelgres.collector.system.listen import CannotListen, listen
from tests import postgres
from tests.acceptance.http2_by_hand import FIELDS, TRACES, http2
from tests.acceptance.receiver_process import Serving, get, serve, served
from tests.waiting import TIMEOUT, until

Fields = list[tuple[bytes, bytes]]
NOT_UTF8 = (b"\xff", b"\xc3\x28", b"\x80" * 10)
VALUES = (*NOT_UTF8, b"", b"\0", b"\n", b" ", b"-1S", b"9" * 30 + b"H", b"gzip", b"x" * 5000, b"x" * 20000)
FURTHER = (
    *(b"authorization", b"x-api-key", b"user-agent", b"host", b"traceparent", b"content-length", b"connection"),
    *(b"grpc-timeout", b"grpc-encoding", b"grpc-accept-encoding", b"grpc-internal-encoding-request", b"grpc-status"),
    *(
        b"grpc-message",
        b"grpc-previous-rpc-attempts",
        b"grpc-trace-bin",
        b"x-bin",
        b"x",
        b"X",
        b"",
        b":",
        b":x",
        b"\xff",
    ),
)
ATTACKS = [(b":path", value) for value in NOT_UTF8]
FATAL = [*(FIELDS | dict(ATTACKS[:1])).items()]
EMPTY_MESSAGE = bytes(5)


def odd_requests() -> Iterator[Fields]:
    for name, given in FIELDS.items():
        yield [field for field in FIELDS.items() if field[0] != name]
        yield [*FIELDS.items(), (name, given)]
        for value in VALUES:
            yield [*(FIELDS | {name: value}).items()]
    for name in FURTHER:
        for value in VALUES:
            yield [*FIELDS.items(), (name, value)]


@pytest.fixture(scope="module")
def receiver(cluster: Cluster, migrated: str) -> Iterator[Serving]:
    with served(cluster, migrated) as serving:
        yield serving


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def request(receiver: Serving, fields: Fields) -> None:
    """Sends it, and waits for its end. Connects again while the gRPC server starts."""

    def sent() -> bool:
        try:
            with http2(port_of(receiver.grpc), timeout=5) as client:
                client.open_odd_call(1, fields)
                client.send(1, EMPTY_MESSAGE, last=True)
                client.trailers(1)
        except ConnectionRefusedError:
            return False
        except (EOFError, ConnectionError, TimeoutError):
            pass  # the answer to some of them
        return True

    until(sent, "a connection")


class Sender:
    """Sends batches of one span each over one channel, again after a retryable error, as OTLP's clients do."""

    RETRYABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)

    def __init__(self, receiver: Serving) -> None:
        # Shorter than gRPC's second, so that the test is.
        self._channel = grpc.insecure_channel(receiver.grpc, [("grpc.initial_reconnect_backoff_ms", 100)])
        self._call = self._channel.unary_unary(TRACES)
        self.sent: set[str] = set()

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def send(self, span_id: bytes) -> None:
        batch = ExportTraceServiceRequest()
        batch.resource_spans.add().scope_spans.add().spans.add(
            trace_id=b"t" * 16, span_id=span_id, name="beside", start_time_unix_nano=10**18, end_time_unix_nano=10**18
        )
        payload = batch.SerializeToString()

        def accepted() -> bool:
            try:
                # Seldom, a call made while a server ends is never answered: senders give up and send again.
                self._call(payload, timeout=5)
            except grpc.RpcError as error:
                if error.code() not in self.RETRYABLE:
                    raise
                return False
            return True

        until(accepted, "an answer")
        self.sent.add(span_id.hex())


def stored(receiver: Serving) -> set[str]:
    return {row["span_id"] for row in receiver.rows("SELECT span_id::text FROM otel.spans WHERE name = 'beside'")}


def malformed(receiver: Serving) -> int:
    """Requests counted as malformed, without a signal."""
    lines = [line for line in get(f"{receiver.http}/metrics").text.splitlines() if "otelcol_receiver_requests" in line]
    wanted = ('transport="grpc"', 'signal=""', 'reason="malformed"')
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if all(label in line for label in wanted))


def test_no_header_ends_grpc_or_floods_the_log(receiver: Serving) -> None:
    counted = malformed(receiver)
    requests = list(odd_requests())
    attacks = [fields for fields in requests if any(field in fields for field in ATTACKS)]
    # At the same time, since gRPC needs 0.1 s for some. Those that end a server would end others with it.
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda fields: request(receiver, fields), [each for each in requests if each not in attacks]))
    assert malformed(receiver) == counted
    for fields in attacks:
        request(receiver, fields)
    with Sender(receiver) as sender:
        sender.send(b"afterall")
    assert sender.sent <= stored(receiver)
    assert get(f"{receiver.http}/readyz").json()["grpc"] == "serving"
    assert len(requests) > 300
    log = receiver.process.errors
    assert "Traceback" not in log
    assert "Invalid encoding" not in log  # grpcio's line, with the value, which may be a token
    assert len(log.splitlines()) <= 3, log


def test_a_sender_beside_an_attacker_loses_nothing(receiver: Serving) -> None:
    counted = malformed(receiver)
    finished = threading.Event()
    errors: list[BaseException] = []

    def attack() -> None:
        try:
            # More requests than that: some meet a server that has just ended, and are not seen.
            while malformed(receiver) < counted + 50:
                request(receiver, FATAL)
        except BaseException as error:  # noqa: BLE001 (told by the test)
            errors.append(error)
        finally:
            finished.set()

    attacker = threading.Thread(target=attack, name="attacker")
    with Sender(receiver) as sender:
        sender.send(b"before 1")
        attacker.start()
        number = 0
        while not finished.is_set() or number < 20:
            number += 1
            sender.send(number.to_bytes(8, "big"))
    attacker.join(TIMEOUT)
    assert not errors
    assert sender.sent <= stored(receiver)
    assert get(f"{receiver.http}/readyz").status_code == 200


def test_a_receiver_that_cannot_serve_grpc_again_is_not_ready_and_exits(
    cluster: Cluster, migrated: str, tmp_path: Path
) -> None:
    with postgres.new_database(cluster, migrated) as dsn, serve(dsn, str(tmp_path)) as process:
        ready = process.ready()
        port = port_of(ready["grpc"])
        with httpx.Client(base_url=ready["http"], timeout=TIMEOUT) as client, http2(port) as attacker:
            assert client.get("/readyz").json()["grpc"] == "serving"
            # Not one more socket can be opened, so that another program can take the port.
            limits = resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE, (0, limits[1]))
            attacker.open_odd_call(1, FATAL)
            until(lambda: client.get("/readyz").json()["grpc"] == "not serving", "the end of gRPC")
            with listening_on(port):
                resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE, limits)
                answer = client.get("/readyz")
                assert (answer.status_code, answer.json()["database"]) == (503, "reachable")
                assert process.process.wait(TIMEOUT) == 1
        assert process.errors.splitlines()[-1].endswith("could not be served again: start the receiver again")


def listening_on(port: int) -> socket.socket:
    """A socket of ours on the port, once it is free."""

    def taken() -> socket.socket | None:
        with contextlib.suppress(CannotListen):
            return listen("a test", "127.0.0.1", port, reuse_port=False, backlog=1)
        return None

    found = until(taken, "the port")
    assert found is not None
    return found
