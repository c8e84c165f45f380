"""A request that ends grpcio's server: another one serves, and the calls in flight end as they would have."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest

from otelgres.collector.otlp.grpc_listener import GrpcListener
from otelgres.collector.otlp.grpc_server import serve_grpc
from otelgres.collector.security.tls import Certificates, TlsFiles
from otelgres.exporters.outcome import Accepted, Outcome
from tests.acceptance.certificates import Authority
from tests.acceptance.http2_by_hand import FIELDS, TRACES, Http2, http2
from tests.acceptance.stub_queue import TIMEOUT, LoopThread, StubQueue
from tests.waiting import until

FATAL = [*(FIELDS | {b":path": b"/\xff"}).items()]


@contextmanager
def listening(loop: LoopThread, stub: StubQueue, port: int = 0, **options: Any) -> Iterator[GrpcListener]:
    listener = loop.run(serve_grpc(stub.pipeline(), "127.0.0.1", port, **options))
    try:
        yield listener
    finally:
        loop.run(listener.stop(0))


def end_server(listener: GrpcListener, stub: StubQueue) -> None:
    """Ends the server that serves, and waits for the next one."""
    counted = stub.requests().get("malformed", 0)
    with http2(listener.port) as client:
        client.open_odd_call(1, FATAL)
        until(lambda: stub.requests().get("malformed", 0) > counted, "the count")
    until(lambda: listener.serving, "another server")
    assert stub.requests()["malformed"] == counted + 1


@contextmanager
def channel(listener: GrpcListener) -> Iterator[Any]:
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{listener.port}", options=options) as opened:
        yield opened.unary_unary(TRACES)


class Held:
    """Calls that the stub does not answer before ``open``."""

    def __init__(self, loop: LoopThread, stub: StubQueue, count: int) -> None:
        self._loop = loop
        self._gate = asyncio.Event()
        stub.outcomes = [self._wait] * count

    async def _wait(self) -> Outcome:
        await self._gate.wait()
        return Accepted()

    def open(self) -> None:
        self._loop.loop.call_soon_threadsafe(self._gate.set)


def test_calls_in_flight_end_normally(loop: LoopThread, stub: StubQueue, caplog: pytest.LogCaptureFixture) -> None:
    held = Held(loop, stub, 3)
    with caplog.at_level(logging.WARNING), listening(loop, stub) as listener, ExitStack() as channels:
        calls = []
        for count in range(1, 4):
            calls.append(channels.enter_context(channel(listener)).future(b"", timeout=TIMEOUT))
            loop.run(stub.until(count))
            end_server(listener, stub)
        held.open()
        assert [each.result() for each in calls] == [b""] * 3
    assert stub.requests() == {"malformed": 3, "": 3}
    assert len(caplog.records) == 1
    assert "a request ended the gRPC server" in caplog.text


def test_the_oldest_of_many_ended_servers_cancels_its_calls(loop: LoopThread, stub: StubQueue) -> None:
    held = Held(loop, stub, 9)
    with listening(loop, stub) as listener, ExitStack() as channels:
        calls = []
        for count in range(1, 10):
            calls.append(channels.enter_context(channel(listener)).future(b"", timeout=TIMEOUT))
            loop.run(stub.until(count))
            end_server(listener, stub)
        assert calls[0].exception().code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
        held.open()
        assert [each.result() for each in calls[1:]] == [b""] * 8


def test_stopping_does_not_wait_for_ended_servers_longer_than_for_others(loop: LoopThread, stub: StubQueue) -> None:
    Held(loop, stub, 1)
    with listening(loop, stub) as listener, channel(listener) as call:
        running = call.future(b"", timeout=TIMEOUT)
        loop.run(stub.until(1))
        end_server(listener, stub)
        loop.run(listener.stop(0.1))
        assert running.exception().code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


def test_workers_that_share_a_port_both_serve_again(loop: LoopThread, stub: StubQueue) -> None:
    with listening(loop, stub, reuse_port=True) as first:
        end_server(first, stub)
        with listening(loop, stub, first.port, reuse_port=True) as second, channel(second) as call:
            assert call(b"", timeout=TIMEOUT, wait_for_ready=True) == b""


def test_tls_is_served_again(loop: LoopThread, stub: StubQueue, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pair = authority.pair("server", "serverAuth")
    credentials = Certificates(TlsFiles(pair.cert, pair.key)).grpc_credentials
    context = ssl.create_default_context(cafile=authority.cert)
    context.set_alpn_protocols(["h2"])
    trusted = grpc.ssl_channel_credentials(authority.cert.read_bytes())
    with listening(loop, stub, credentials=credentials) as listener:
        address = ("127.0.0.1", listener.port)
        with context.wrap_socket(socket.create_connection(address, TIMEOUT), server_hostname="localhost") as sock:
            Http2(sock, None).open_odd_call(1, (dict(FATAL) | {b":scheme": b"https"}).items())
            until(lambda: stub.requests() == {"malformed": 1} and listener.serving, "another server")
        with grpc.secure_channel(f"localhost:{listener.port}", trusted) as opened:
            assert opened.unary_unary(TRACES)(b"", timeout=TIMEOUT, wait_for_ready=True) == b""
