"""OTLP/gRPC over real sockets: raw calls for every answer, and HTTP/2 by hand for what no client would send."""

import asyncio
import gzip
import logging
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
import zstandard
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceResponse,
)

from otelgres.collector.otlp.grpc_server import serve_grpc
from otelgres.collector.system.listen import CannotListen
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted, Invalid, Outcome, Overloaded, TooLarge, Unavailable
from tests.acceptance.grpc_receiver.serving import LIMIT, serving
from tests.acceptance.stub_queue import TIMEOUT, LoopThread, StubQueue
from tests.attack.wire import field

EXPORT = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}


@contextmanager
def channel(port: int, **options: Any) -> Iterator[Any]:
    # A pool of its own, so that no test meets the connection of another.
    with grpc.insecure_channel(
        f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)], **options
    ) as opened:
        yield opened


def call(port: int, payload: bytes, signal: Signal = Signal.TRACES, **options: Any) -> bytes:
    with channel(port, **options) as opened:
        response: bytes = opened.unary_unary(EXPORT[signal])(payload, timeout=TIMEOUT)
        return response


def refused(port: int, payload: bytes = b"") -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call(port, payload)
    return caught.value


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("payload", [b"", b"\x0a\x00", b"anything at all \xff"], ids=["empty", "envelope", "junk"])
def test_bytes_reach_submit_untouched(port: int, stub: StubQueue, signal: Signal, payload: bytes) -> None:
    assert call(port, payload, signal) == b""
    assert stub.batches == [Batch(signal, payload)]


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_calls(port: int, stub: StubQueue, compression: Any) -> None:
    payload = b"telemetry " * 10_000
    assert call(port, payload, compression=compression) == b""
    assert stub.batches[0].payload == payload


def test_partial_success_is_in_the_response(port: int, stub: StubQueue) -> None:
    stub.outcomes = [Accepted(2, "two spans without an id")]
    partial = ExportTraceServiceResponse.FromString(call(port, b"")).partial_success
    assert (partial.rejected_spans, partial.error_message) == (2, "two spans without an id")


@pytest.mark.parametrize(
    ("outcome", "code", "retry"),
    [
        (Invalid("no such field\nü"), grpc.StatusCode.INVALID_ARGUMENT, None),
        (TooLarge("too big"), grpc.StatusCode.RESOURCE_EXHAUSTED, None),
        (Overloaded(0.5, "busy"), grpc.StatusCode.RESOURCE_EXHAUSTED, 0.5),
        (Unavailable(1.5, "away"), grpc.StatusCode.UNAVAILABLE, 1.5),
        (Unavailable(1.5, "é" * 100_000), grpc.StatusCode.UNAVAILABLE, 1.5),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refusals(port: int, stub: StubQueue, outcome: Any, code: Any, retry: float | None) -> None:
    stub.outcomes = [outcome]
    error = refused(port)
    trailers = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert error.code() is code
    assert outcome.message.startswith(error.details().rstrip("…"))
    assert (status.code, status.message) == (code.value[0], error.details())
    if retry is None:
        assert "google.rpc.retryinfo-bin" not in trailers
    else:
        delay = error_details_pb2.RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"]).retry_delay
        assert delay.seconds + delay.nanos / 1e9 == retry


@pytest.mark.parametrize("error", [RuntimeError("secret"), KeyError("secret"), TimeoutError("secret")], ids=repr)
def test_an_unexpected_error_is_unavailable_and_says_nothing(
    port: int, stub: StubQueue, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    stub.outcomes = [error]
    with caplog.at_level(logging.ERROR):
        answer = refused(port)
    assert answer.code() is grpc.StatusCode.UNAVAILABLE
    assert "google.rpc.retryinfo-bin" in dict(answer.trailing_metadata())
    assert "secret" not in answer.details()
    assert any(record.exc_info for record in caplog.records if record.name == "otelgres.collector.otlp.export")


def test_a_cancelled_submit_is_retryable(port: int, stub: StubQueue) -> None:
    stub.outcomes = [asyncio.CancelledError()]
    assert refused(port).code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


def test_over_the_limit_is_final(port: int, stub: StubQueue) -> None:
    assert call(port, bytes(LIMIT)) == b""
    for payload, options in ((bytes(LIMIT + 1), {}), (bytes(50 * LIMIT), {"compression": grpc.Compression.Gzip})):
        with pytest.raises(grpc.RpcError) as caught:
            call(port, payload, **options)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert not dict(caught.value.trailing_metadata())
    assert len(stub.batches) == 1


def test_the_default_limit_is_64_mib(loop: LoopThread, stub: StubQueue) -> None:
    server = loop.run(serve_grpc(stub.pipeline(), "127.0.0.1", 0))
    try:
        assert call(server.port, field(99, bytes(20 * 1024 * 1024))) == b""
        assert refused(server.port, bytes(64 * 1024 * 1024 + 1)).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    finally:
        loop.run(server.stop(0))


def test_unknown_services_and_methods(port: int) -> None:
    with channel(port) as opened:
        for path in ("/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export", "/a/b"):
            with pytest.raises(grpc.RpcError) as caught:
                opened.unary_unary(path)(b"", timeout=TIMEOUT)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_many_calls_wait_at_the_same_time(loop: LoopThread, port: int, stub: StubQueue) -> None:
    released = asyncio.Event()

    async def wait() -> Outcome:
        await released.wait()
        return Accepted()

    stub.outcomes = [wait] * 100
    with channel(port) as opened:
        calls = [opened.unary_unary(EXPORT[Signal.LOGS]).future(b"%d" % i, timeout=TIMEOUT) for i in range(100)]
        loop.run(stub.until(100))
        loop.loop.call_soon_threadsafe(released.set)
        assert [c.result() for c in calls] == [b""] * 100
    assert sorted(int(batch.payload) for batch in stub.batches) == list(range(100))


def test_a_client_that_gives_up_cancels_its_submit_and_nothing_else(port: int, stub: StubQueue) -> None:
    cancelled = threading.Event()

    async def wait_forever() -> Outcome:
        try:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            cancelled.set()
            raise

    stub.outcomes = [wait_forever]
    with channel(port) as opened:
        with pytest.raises(grpc.RpcError) as caught:
            opened.unary_unary(EXPORT[Signal.LOGS])(b"", timeout=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert cancelled.wait(TIMEOUT)
        assert opened.unary_unary(EXPORT[Signal.LOGS])(b"", timeout=TIMEOUT) == b""


def test_a_port_in_use_is_an_error_that_names_it(loop: LoopThread, port: int, stub: StubQueue) -> None:
    with pytest.raises(CannotListen, match=rf"OTLP/gRPC on 127\.0\.0\.1:{port}: the port is in use"):
        loop.run(serve_grpc(stub.pipeline(), "127.0.0.1", port))
    assert call(port, b"") == b""


def test_workers_may_share_a_port(loop: LoopThread, stub: StubQueue) -> None:
    with serving(loop, stub, reuse_port=True) as port:
        second = loop.run(serve_grpc(stub.pipeline(), "127.0.0.1", port, reuse_port=True))
        assert second.port == port
        loop.run(second.stop(0))


def test_an_address_that_is_not_ours(loop: LoopThread, stub: StubQueue) -> None:
    with pytest.raises(CannotListen, match=r"cannot serve OTLP/gRPC on 192\.0\.2\.1:0"):
        loop.run(serve_grpc(stub.pipeline(), "192.0.2.1", 0))


def test_ipv6(loop: LoopThread, stub: StubQueue) -> None:
    try:
        server = loop.run(serve_grpc(stub.pipeline(), "::1", 0))
    except CannotListen:
        pytest.skip("no IPv6 here")
    try:
        with grpc.insecure_channel(f"[::1]:{server.port}") as opened:
            assert opened.unary_unary(EXPORT[Signal.LOGS])(b"x", timeout=TIMEOUT) == b""
    finally:
        loop.run(server.stop(0))


def test_stop_waits_for_calls_in_flight(loop: LoopThread, stub: StubQueue) -> None:
    released = asyncio.Event()

    async def wait() -> Outcome:
        await released.wait()
        return Accepted()

    stub.outcomes = [wait]
    server = loop.run(serve_grpc(stub.pipeline(), "127.0.0.1", 0))
    with channel(server.port) as opened:
        running = opened.unary_unary(EXPORT[Signal.LOGS]).future(b"x", timeout=TIMEOUT)

        loop.run(stub.until(1))
        stopping = loop.start(server.stop(TIMEOUT))
        loop.loop.call_soon_threadsafe(released.set)
        assert running.result() == b""
        stopping.result(TIMEOUT)


def test_stop_ends_what_takes_too_long_so_that_it_is_retried(loop: LoopThread, stub: StubQueue) -> None:
    async def wait_forever() -> Outcome:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    stub.outcomes = [wait_forever]
    server = loop.run(serve_grpc(stub.pipeline(), "127.0.0.1", 0))
    with channel(server.port) as opened:
        running = opened.unary_unary(EXPORT[Signal.LOGS]).future(b"x", timeout=TIMEOUT)

        loop.run(stub.until(1))
        loop.run(server.stop(0.1))
        assert running.exception().code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


def test_connections_are_bounded(loop: LoopThread, stub: StubQueue) -> None:
    with serving(loop, stub, max_connections=2) as port, channel(port) as first, channel(port) as second:
        for opened in (first, second):
            assert opened.unary_unary(EXPORT[Signal.LOGS])(b"", timeout=TIMEOUT) == b""
        assert refused(port).code() is grpc.StatusCode.UNAVAILABLE


# --- HTTP/2 by hand: what no client library would send ---------------------------------------------------------------


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _frames(sock: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    """Kind, flags and payload of each frame until the server closes."""
    stream = sock.makefile("rb")
    while head := stream.read(9):
        yield head[3], head[4], stream.read(int.from_bytes(head[:3], "big"))


@contextmanager
def _http2(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as sock:
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b""))
        yield sock


def _call_frames(encoding: bytes, message: bytes) -> bytes:
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", EXPORT[Signal.TRACES].encode()),
        (b":authority", b"x"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        (b"grpc-encoding", encoding),
    ]
    headers = b"".join(b"\x00" + bytes([len(n)]) + n + bytes([len(v)]) + v for n, v in fields)
    body = b"\x01" + struct.pack(">I", len(message)) + message
    chunks = [body[i : i + 16384] for i in range(0, len(body), 16384)]
    data = [_frame(0, 1 if i == len(chunks) - 1 else 0, 1, chunk) for i, chunk in enumerate(chunks)]
    return _frame(1, 4, 1, headers) + b"".join(data)


@pytest.mark.parametrize(
    ("message", "status"),
    [(gzip.compress(bytes(50 * 1024 * 1024)), b"8"), (gzip.compress(b"x" * 999)[:-5], b"13"), (b"junk", b"13")],
    ids=["bomb", "truncated", "junk"],
)
def test_broken_compression_is_final(port: int, stub: StubQueue, message: bytes, status: bytes) -> None:
    with _http2(port) as sock:
        sock.sendall(_call_frames(b"gzip", message))
        trailers = next(payload for kind, _, payload in _frames(sock) if kind == 1)
    assert b"grpc-status" + bytes([len(status)]) + status in trailers
    assert stub.batches == []


def test_a_coding_that_grpc_does_not_know_is_final_and_named(port: int, stub: StubQueue) -> None:
    with _http2(port) as sock:
        sock.sendall(_call_frames(b"zstd", zstandard.compress(b"")))
        answer = next(payload for kind, _, payload in _frames(sock) if kind == 1)
    assert b"grpc-status\x0213" in answer
    assert b"grpc-encoding" in answer
    assert stub.batches == []


def test_pings_on_an_idle_connection_do_not_end_it(port: int) -> None:
    with _http2(port) as sock:
        for i in range(20):
            sock.sendall(_frame(6, 0, 0, b"ping%04d" % i))
        answers = 0
        for kind, flags, payload in _frames(sock):
            assert kind != 7, f"GOAWAY {payload!r}"
            if kind == 6 and flags & 1:
                answers += 1
            if answers == 20:
                break
        assert answers == 20


def test_not_http2_at_all(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n" + b"\xff" * 1000)
        while sock.recv(65536):
            pass
    assert call(port, b"") == b""
