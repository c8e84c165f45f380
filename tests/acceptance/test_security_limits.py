"""Slow, blocked and demanding clients at both listeners: each is bounded, and the others are served meanwhile."""

import asyncio
import gzip
import re
import select
import socket
import ssl
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
import zstandard

from otelgres.collector.otlp.grpc_server import CallLimits, serve_grpc
from otelgres.collector.otlp.http_app import Page
from otelgres.collector.otlp.http_protocol import ConnectionLimits
from otelgres.collector.security.tls import Certificates, TlsFiles
from otelgres.exporters.outcome import Accepted, Outcome
from tests.acceptance.certificates import Authority
from tests.acceptance.http2_by_hand import TRACES, Http2, http2
from tests.acceptance.http_client import LIMIT, post, raw, read_response, serving, until_closed
from tests.acceptance.stub_queue import TIMEOUT, LoopThread, StubQueue

MIB = 1024 * 1024
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def stub() -> StubQueue:
    return StubQueue()


@contextmanager
def grpc_receiver(loop: LoopThread, stub: StubQueue, **limits: Any) -> Iterator[int]:
    server = loop.run(serve_grpc(stub.pipeline(), "127.0.0.1", 0, limits=CallLimits(**limits)))
    try:
        yield server.port
    finally:
        loop.run(server.stop(0))


def call(port: int, payload: bytes = b"x") -> bytes:
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]) as opened:
        answer: bytes = opened.unary_unary(TRACES)(payload, timeout=TIMEOUT)
        return answer


def message(length: int) -> bytes:
    """The start of a message that says it has so many bytes."""
    return b"\x00" + length.to_bytes(4, "big")


# --- OTLP/gRPC -------------------------------------------------------------------------------------------------------


def test_a_message_that_does_not_arrive_is_given_up_and_its_place_is_free_again(
    loop: LoopThread, stub: StubQueue
) -> None:
    with grpc_receiver(loop, stub, receiving=1, receive_seconds=0.3) as port:
        for sent in (b"", message(100) + b"only this"):
            with http2(port) as slow:
                slow.open_call(1, TRACES)
                slow.send(1, sent)
                trailers = slow.trailers(1)
                assert b"grpc-status\x0214" in trailers
                assert b"retryinfo" in trailers
        assert call(port) == b""
    assert len(stub.batches) == 1


def test_a_call_without_a_message_is_invalid(loop: LoopThread, stub: StubQueue) -> None:
    with grpc_receiver(loop, stub) as port, http2(port) as client:
        client.open_call(1, TRACES)
        client.end(1)
        assert b"grpc-status\x013" in client.trailers(1)
    assert stub.batches == []


def test_messages_are_received_a_few_at_a_time_and_the_others_hold_only_a_window(
    loop: LoopThread, stub: StubQueue
) -> None:
    with grpc_receiver(loop, stub, receiving=1) as port, http2(port) as first, http2(port) as second:
        _announce_large(first, 20 * MIB)
        assert first.granted(1) > MIB, "the one being received gets what its message needs, step by step"
        _announce_large(second, 20 * MIB)
        assert second.granted(1) == CallLimits().window_bytes
        first.reset(1)
        while second.granted(1) == CallLimits().window_bytes:
            second.settle()
    with grpc_receiver(loop, stub, receiving=1, waiting=1) as port, http2(port) as busy:
        for stream in (1, 3):
            busy.open_call(stream, TRACES)
            busy.send(stream, message(100))
        busy.open_call(5, TRACES)
        trailers = busy.trailers(5)
        assert b"grpc-status\x018" in trailers
        assert b"retryinfo" in trailers, "without it the client would throw its data away"
        assert not busy.ended & {1, 3}
    assert stub.batches == []


def _announce_large(client: Http2, length: int) -> None:
    """Starts a message and sends as much of it as is granted, but no end of it."""
    client.open_call(1, TRACES)
    client.send(1, message(length))
    client.settle()
    client.send(1, bytes(client.room(1)))
    client.settle()


def test_an_idle_connection_is_closed_also_in_the_middle_of_headers(loop: LoopThread, stub: StubQueue) -> None:
    with grpc_receiver(loop, stub, idle_seconds=0.3, handshake_seconds=0.3) as port:
        with http2(port) as idle:
            idle.until_closed()
            assert idle.goaway
        with http2(port) as half:
            half.open_call(1, TRACES, complete=False)
            half.until_closed()
        for sent in (b"", b"PRI * HTTP/2.0\r\n"):
            with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as silent:
                silent.sendall(sent)
                until_closed(silent)


def test_a_grpc_client_that_reads_no_responses_is_disconnected(loop: LoopThread, stub: StubQueue) -> None:
    stub.outcomes = [Accepted(1, "a partial success has a body")]
    with (
        grpc_receiver(loop, stub, age_seconds=0.3, age_grace_seconds=0.3) as port,
        http2(port, initial_window=0) as client,
    ):
        client.open_call(1, TRACES)
        client.send(1, message(1) + b"x", last=True)
        loop.run(stub.until(1))
        client.until_closed()
        assert client.goaway


def test_clients_do_not_notice_that_connections_age(loop: LoopThread, stub: StubQueue) -> None:
    released = asyncio.Event()

    async def wait() -> Outcome:
        await released.wait()
        return Accepted()

    stub.outcomes = [wait]
    with (
        grpc_receiver(loop, stub, age_seconds=0.1, age_grace_seconds=TIMEOUT) as port,
        grpc.insecure_channel(f"127.0.0.1:{port}") as opened,
    ):
        export = opened.unary_unary(TRACES)
        long = export.future(b"long", timeout=TIMEOUT)
        loop.run(stub.until(1))
        for _ in range(30):
            calls = [export.future(b"x" * 1000, timeout=TIMEOUT) for _ in range(50)]
            assert {one.result() for one in calls} == {b""}
        loop.loop.call_soon_threadsafe(released.set)
        assert long.result() == b""
    assert len(stub.batches) == 1501


def test_streams_of_a_connection_are_bounded(loop: LoopThread, stub: StubQueue) -> None:
    with grpc_receiver(loop, stub, streams=2) as port, http2(port) as many:
        many.settle()
        assert many.max_concurrent_streams == 2
        for stream in range(1, 21, 2):
            many.open_call(stream, TRACES)
        # Not at the third: the server counts those in the middle of being opened as none.
        while not many.ended:
            many.read()


# --- OTLP/HTTP -------------------------------------------------------------------------------------------------------


async def _long_page() -> Page:
    return Page(200, "text/plain", bytes(MIB))


def _no_response(sock: socket.socket) -> bool:
    """Asks for more than all buffers on the way can hold, and takes none of it; whether the server has ended that."""
    sock.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
    poll = select.poll()
    poll.register(sock, select.POLLHUP | select.POLLERR)
    return bool(poll.poll(TIMEOUT * 1000))


def test_an_http_client_that_reads_no_responses_is_disconnected(
    loop: LoopThread, stub: StubQueue, tmp_path: Path
) -> None:
    limits = ConnectionLimits(answer_seconds=0.3)
    pair = Authority(tmp_path / "ca").pair("server", "serverAuth")
    tls = Certificates(TlsFiles(pair.cert, pair.key)).http_context()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    pages = {"/long": _long_page}
    with serving(loop, stub, pages=pages, connection_limits=limits) as port, raw(port) as sock:
        assert _no_response(sock)
    with serving(loop, stub, pages=pages, connection_limits=limits, tls=tls) as port, raw(port) as sock:
        assert _no_response(context.wrap_socket(sock))


def test_requests_sent_ahead_are_bounded(loop: LoopThread, stub: StubQueue) -> None:
    with serving(loop, stub) as port:
        with raw(port) as sock:
            sock.sendall(HEALTH * 50)
            answers = b""
            while answers.count(b'"alive"') < 50:
                answers += sock.recv(65536)
        with raw(port) as sock, suppress(ConnectionError):
            sock.sendall(HEALTH * 100_000)
            # No error before the answers to the requests that it does not concern.
            statuses = re.findall(rb"HTTP/1\.1 (\d{3}) ", until_closed(sock))
            assert set(statuses[:-1]) <= {b"200"}


def test_a_connection_without_a_next_request_is_closed(loop: LoopThread, stub: StubQueue) -> None:
    with serving(loop, stub, connection_limits=ConnectionLimits(idle_seconds=0.3)) as port, raw(port) as sock:
        sock.sendall(HEALTH)
        assert read_response(sock).status == 200
        assert until_closed(sock) == b""


def _zstd(body: bytes) -> bytes:
    return zstandard.compress(body)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("zstd, gzip", gzip.compress(_zstd(bytes(100 * MIB)))),
        ("gzip, zstd", _zstd(gzip.compress(bytes(100 * MIB)))),
        ("deflate, zstd", _zstd(zlib.compress(bytes(100 * MIB)))),
        ("zstd, zstd", _zstd(_zstd(bytes(100 * MIB)))),
        # Small in the end, but not in between.
        ("gzip, gzip", gzip.compress(gzip.compress(b"") + bytes(100 * MIB))),
    ],
    ids=["zstd in gzip", "gzip in zstd", "deflate in zstd", "zstd in zstd", "large in between"],
)
def test_bombs_inside_of_one_another_are_413(loop: LoopThread, stub: StubQueue, coding: str, body: bytes) -> None:
    assert len(body) < LIMIT
    with serving(loop, stub) as port:
        assert post(port, body, Content_Encoding=coding).status == 413
        assert post(port, body, Content_Encoding=f"{coding}, gzip").status == 415
    assert stub.batches == []
