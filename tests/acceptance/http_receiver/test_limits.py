"""OTLP/HTTP against hostile, slow and broken clients."""

import asyncio
import gzip
import re
import socket
import zlib
from typing import Any

import pytest
import zstandard

from otelgres.collector.otlp.http_app import BodyLimits
from otelgres.collector.otlp.http_protocol import ConnectionLimits
from otelgres.exporters.outcome import Accepted, Outcome
from tests.acceptance.http_client import (
    JSON,
    LIMIT,
    PAYLOAD,
    PROTOBUF,
    post,
    raw,
    read_response,
    serving,
    until_closed,
)
from tests.acceptance.stub_queue import TIMEOUT, LoopThread, StubQueue

BOMBS = {
    "gzip": gzip.compress(bytes(100 * 1024 * 1024)),
    "deflate": zlib.compress(bytes(100 * 1024 * 1024)),
    "zstd": zstandard.compress(bytes(100 * 1024 * 1024)),
    "gzip, gzip": gzip.compress(gzip.compress(bytes(100 * 1024 * 1024))),
}


@pytest.mark.parametrize("coding", BOMBS)
@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_bombs_are_413(port: int, stub: StubQueue, coding: str, content_type: str) -> None:
    answer = post(port, BOMBS[coding], content_type, Content_Encoding=coding)
    assert (answer.status, answer.headers["Content-Type"], answer.error[0]) == (413, content_type, 8)
    assert answer.headers["Retry-After"] is None
    assert stub.batches == []


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_bodies_over_the_limit_are_413_also_for_clients_that_send_before_they_listen(
    port: int, stub: StubQueue, chunked: bool
) -> None:
    assert post(port, bytes(LIMIT)).status == 200
    body: Any = [bytes(65536)] * 1000 if chunked else bytes(1000 * 65536)
    for _ in range(3):
        answer = post(port, body)
        assert (answer.status, answer.error[0], answer.headers["Connection"]) == (413, 8, "close")
    assert len(stub.batches) == 1


def test_a_body_that_never_ends_is_answered_before_its_end(port: int) -> None:
    with raw(port) as sock:
        sock.sendall(f"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\n".encode())
        sock.sendall(b"Transfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + bytes(65536) + b"\r\n")
        for _ in range(LIMIT // 65536):
            sock.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
        assert read_response(sock).status == 413


def test_a_body_that_does_not_arrive_is_503(loop: LoopThread, stub: StubQueue) -> None:
    with serving(loop, stub, body_limits=BodyLimits(seconds=0.2)) as port, raw(port) as sock:
        sock.sendall(
            f"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\nContent-Length: 9\r\n\r\nabc".encode()
        )
        answer = read_response(sock)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert stub.batches == []


def test_bodies_held_at_once_are_bounded(loop: LoopThread, stub: StubQueue) -> None:
    with serving(loop, stub, body_limits=BodyLimits(held_bytes=LIMIT)) as port:
        with raw(port) as sock:
            sock.sendall(f"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\n".encode())
            sock.sendall(f"Content-Length: {LIMIT}\r\n\r\n".encode() + bytes(LIMIT - 1))
            # The server may not have read all of the above yet, so the second may have to be repeated.
            answer = post(port, b"xy")
            while answer.status == 200:
                answer = post(port, b"xy")
            assert (answer.status, answer.headers["Retry-After"], answer.error[0]) == (429, "1", 8)
        while post(port, bytes(LIMIT)).status != 200:
            pass


def test_headers_that_never_end(loop: LoopThread, port: int, stub: StubQueue) -> None:
    with raw(port) as sock:
        sock.sendall(b"POST /v1/logs HTTP/1.1\r\n")
        with pytest.raises(OSError):  # noqa: PT011 (the server closes while we are still sending)
            sock.sendall((b"X-Filler: " + b"x" * 8192 + b"\r\n") * 10_000)
    with raw(port) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nX-Filler: " + b"x" * 66_000)
        assert until_closed(sock).startswith(b"HTTP/1.1 431 ")
    with serving(loop, stub, connection_limits=ConnectionLimits(header_seconds=0.2)) as port:
        for start in (b"", b"GET /hea"):
            with raw(port) as sock:
                sock.sendall(start)
                assert until_closed(sock) == b""
        with raw(port) as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_response(sock).status == 200
            sock.sendall(b"GET /hea")
            assert until_closed(sock) == b""


def test_trailers_that_never_end(port: int, stub: StubQueue) -> None:
    with raw(port) as sock:
        sock.sendall(f"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\n".encode())
        sock.sendall(b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
        with pytest.raises(OSError):  # noqa: PT011
            sock.sendall((b"X-Filler: " + b"x" * 8192 + b"\r\n") * 10_000)


def test_connections_are_bounded(loop: LoopThread, stub: StubQueue) -> None:
    with (
        serving(loop, stub, connection_limits=ConnectionLimits(connections=2)) as port,
        raw(port) as first,
        raw(port) as second,
    ):
        for sock in (first, second):
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_response(sock).status == 200
        with raw(port) as third:
            answer = until_closed(third)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1\r\n" in answer
        first.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_response(first).status == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/logs HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_broken_http_gets_an_answer_below_500_or_none(port: int, stub: StubQueue, request_bytes: bytes) -> None:
    with raw(port) as sock:
        sock.sendall(request_bytes)
        sock.shutdown(socket.SHUT_WR)
        answer = until_closed(sock)
        assert answer == b"" or re.match(rb"HTTP/1\.1 4\d\d ", answer)
    assert stub.batches == []
    assert post(port).status == 200


def test_disconnecting_clients_break_nothing(loop: LoopThread, port: int, stub: StubQueue) -> None:
    head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: 10\r\n\r\n".encode()
    for sent in (head[:20], head, head + b"abc"):
        with raw(port) as sock:
            sock.sendall(sent)
    released = asyncio.Event()
    done = asyncio.Event()

    async def wait() -> Outcome:
        await released.wait()
        done.set()
        return Accepted()

    stub.outcomes = [wait]
    with raw(port) as sock:
        sock.sendall(head + b"0123456789")
        loop.run(stub.until(1))
    loop.loop.call_soon_threadsafe(released.set)
    assert loop.run(asyncio.wait_for(done.wait(), TIMEOUT))
    assert post(port).status == 200
    assert [batch.payload for batch in stub.batches] == [b"0123456789", PAYLOAD]
