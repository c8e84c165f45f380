"""Every end of an HTTP connection in every state of it: true answers in the requests' order, one count a request."""

import asyncio
import re
import socket
import ssl
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from otelgres.collector.otlp.http_app import Page
from otelgres.collector.otlp.http_protocol import ConnectionLimits
from otelgres.collector.otlp.http_server import serve_http
from otelgres.collector.security.tls import Certificates, TlsFiles
from otelgres.exporters.outcome import Accepted, Outcome, Unavailable
from tests.acceptance.certificates import Authority
from tests.acceptance.http_cases import GONE, LEFT, LEFT_BEHIND, LENGTH, POST, QUEUED, SENT, STORED, WHOLE
from tests.acceptance.http_client import PAYLOAD, always_ready, ask, post, raw, read_response, until_closed
from tests.acceptance.http_client import serving as serving_port
from tests.acceptance.stub_queue import LoopThread, StubQueue
from tests.waiting import until

Counts = Counter[tuple[str, str]]


class Server:
    """A server, the stub behind it, and the counts of its requests by (signal or page, reason)."""

    def __init__(self, loop: LoopThread, port: int, stub: StubQueue) -> None:
        self.loop = loop
        self.port = port
        self.stub = stub

    def counts(self) -> Counts:
        found: Counts = Counter()
        for (name, labels), value in self.stub.metrics.numbers().items():
            if name in ("otelcol_receiver_requests", "otelgres_page_requests_total") and value:
                by = dict(labels)
                found[by["signal"] if "signal" in by else by["path"], by["reason"]] += int(value)
        del found["/readyz", ""]
        return found

    def has_read(self) -> None:
        """Returns once everything is read that was sent before and fits into a socket's buffer."""
        for _ in range(2):
            assert ask(self.port, "GET", "/readyz").status == 200

    def check(self, expected: Counts) -> None:
        """That these requests, and no others, are counted, and those that succeeded are stored; and that it serves."""
        until(lambda: self.counts().total() >= expected.total(), "the counts")
        self.has_read()
        assert self.counts() == expected
        assert post(self.port).status == 200

    @contextmanager
    def held(self, outcome: Outcome) -> Iterator[Callable[[], None]]:
        """The next request waits for its answer until the yielded function is called."""
        gate = asyncio.Event()

        async def wait() -> Outcome:
            await gate.wait()
            return outcome

        def release() -> None:
            self.loop.loop.call_soon_threadsafe(gate.set)

        self.stub.outcomes = [wait]
        try:
            yield release
        finally:
            release()


@contextmanager
def serving(loop: LoopThread, **limits: float) -> Iterator[Server]:
    stub = StubQueue()
    with serving_port(loop, stub, connection_limits=ConnectionLimits(**limits)) as port:  # type: ignore[arg-type]
        yield Server(loop, port, stub)


@pytest.fixture(scope="module")
def shared(loop: LoopThread) -> Iterator[Server]:
    with serving(loop) as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Server:
    shared.stub.clear()
    return shared


def statuses(received: bytes) -> tuple[int, ...]:
    return tuple(int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received))


@pytest.mark.parametrize("name", SENT)
def test_first_on_a_connection(server: Server, name: str) -> None:
    sent = SENT[name]
    expected = server.counts() + Counter(sent.counted)
    with raw(server.port) as sock:
        sock.sendall(sent.data)
        assert statuses(until_closed(sock)) == sent.statuses
    assert len(server.stub.batches) == sent.counted.count(STORED)
    server.check(expected)


@pytest.mark.parametrize("name", SENT)
def test_on_an_idle_connection(server: Server, name: str) -> None:
    sent = SENT[name]
    expected = server.counts() + Counter([STORED, *sent.counted])
    with raw(server.port) as sock:
        sock.sendall(WHOLE)
        assert read_response(sock).status == 200
        sock.sendall(sent.data)
        assert statuses(until_closed(sock)) == sent.statuses
    assert len(server.stub.batches) == 1 + sent.counted.count(STORED)
    server.check(expected)


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [(Accepted(), 200, ""), (Unavailable(1, "away"), 503, "unavailable")],
    ids=["stored", "refused"],
)
@pytest.mark.parametrize("name", SENT)
def test_behind_a_request_that_waits(server: Server, name: str, outcome: Outcome, status: int, reason: str) -> None:
    sent = SENT[name]
    expected = server.counts() + Counter([("traces", reason), *sent.counted])
    with raw(server.port) as sock, server.held(outcome) as release:
        sock.sendall(WHOLE)
        server.loop.run(server.stub.until(1))
        sock.sendall(sent.data)
        server.has_read()
        release()
        assert statuses(until_closed(sock)) == (status, *sent.statuses)
    assert len(server.stub.batches) == 1 + sent.counted.count(STORED)
    server.check(expected)


def close(sock: socket.socket) -> None:
    sock.close()


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0))
    sock.close()


def half_close(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_WR)
    until_closed(sock)


ENDS = [close, reset, half_close]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", LEFT)
def test_a_client_that_leaves(server: Server, name: str, end: Callable[[socket.socket], None]) -> None:
    data, counted = LEFT[name]
    for before in ([], [STORED]):
        expected = server.counts() + Counter([*before, *counted])
        with raw(server.port) as sock:
            if before:
                sock.sendall(WHOLE)
                assert read_response(sock).status == 200
            sock.sendall(data)
            server.has_read()
            end(sock)
        server.check(expected)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_a_client_that_leaves_before_its_answer(
    server: Server, name: str, end: Callable[[socket.socket], None]
) -> None:
    data, left = LEFT_BEHIND[name]
    before = server.counts()
    with raw(server.port) as sock, server.held(Accepted()) as release:
        sock.sendall(WHOLE)
        server.loop.run(server.stub.until(1))
        sock.sendall(data)
        server.has_read()
        if end is half_close:
            sock.shutdown(socket.SHUT_WR)
        else:
            end(sock)
        server.has_read()
        release()
        if end is half_close:
            answers = until_closed(sock)
    expected = before + Counter([GONE, *left])
    until(lambda: server.counts().total() >= expected.total(), "the counts")
    server.has_read()
    counted = server.counts() - before
    if name in QUEUED:
        assert counted.total() == 1 + len(left)
        assert counted.keys() <= {STORED, GONE, ("", "client_gone")}
        if end is half_close:
            assert statuses(answers).count(200) <= counted[STORED] <= len(server.stub.batches)
    else:
        assert server.counts() == expected
    assert post(server.port).status == 200


def test_too_many_pipelined_requests(loop: LoopThread) -> None:
    with serving(loop, ahead=2) as server, raw(server.port) as sock, server.held(Accepted()) as release:
        sock.sendall(WHOLE * 6)
        loop.run(server.stub.until(1))
        server.has_read()
        release()
        assert statuses(until_closed(sock)) == (200, 200, 200, 503)
        server.check(Counter({STORED: 3, ("", "throttled"): 1}))


def test_headers_that_take_too_long(loop: LoopThread) -> None:
    with serving(loop, header_seconds=0.3) as server, raw(server.port) as sock, server.held(Accepted()) as release:
        sock.sendall(WHOLE)
        loop.run(server.stub.until(1))
        sock.sendall(POST)
        until(lambda: server.counts()["", "timeout"], "the timeout")
        release()
        assert statuses(until_closed(sock)) == (200,)
        server.check(Counter({STORED: 1, ("", "timeout"): 1}))


def test_empty_lines_do_not_keep_a_connection(loop: LoopThread) -> None:
    with serving(loop, idle_seconds=0.3) as server, raw(server.port) as sock:
        sock.sendall(WHOLE)
        assert read_response(sock).status == 200
        sock.sendall(b"\r\n")
        assert until_closed(sock) == b""
        server.check(Counter({STORED: 1}))


def test_a_request_that_began_before_an_answer_is_not_idle(loop: LoopThread) -> None:
    async def slow() -> Outcome:
        await asyncio.sleep(0.5)
        return Accepted()

    with serving(loop, idle_seconds=0.2) as server, raw(server.port) as sock, server.held(Accepted()) as release:
        server.stub.outcomes.append(slow)
        sock.sendall(WHOLE)
        loop.run(server.stub.until(1))
        sock.sendall(POST)
        server.has_read()
        release()
        assert read_response(sock).status == 200
        sock.sendall(LENGTH + b"\r\n" + PAYLOAD)
        assert read_response(sock).status == 200
        server.check(Counter({STORED: 2}))


def test_a_server_that_stops(loop: LoopThread) -> None:
    stub = StubQueue()
    asked = asyncio.Event()

    async def never() -> Page:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    pipeline = stub.pipeline()
    running = loop.run(serve_http(pipeline, "127.0.0.1", 0, ready=always_ready, pages={"/slow": never}))
    server = Server(loop, running.port, stub)
    with raw(server.port) as page, raw(server.port) as half, raw(server.port) as idle:
        page.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        half.sendall(POST)
        idle.sendall(WHOLE)
        assert read_response(idle).status == 200
        loop.run(asked.wait())
        server.has_read()
        loop.run(running.stop(0))
        assert statuses(until_closed(page)) == (503,)
        assert until_closed(half) == until_closed(idle) == b""
    until(lambda: server.counts().total() >= 3, "the counts")
    assert server.counts() == Counter({STORED: 1, ("/slow", "stopping"): 1, ("", "stopping"): 1})
    pipeline.close()


def test_over_tls(loop: LoopThread, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ours")
    pair = authority.pair("server", "serverAuth")
    stub = StubQueue()
    pipeline = stub.pipeline()
    tls = Certificates(TlsFiles(pair.cert, pair.key)).http_context()
    running = loop.run(serve_http(pipeline, "127.0.0.1", 0, ready=always_ready, tls=tls))
    server = Server(loop, running.port, stub)
    client = ssl.create_default_context(cafile=str(authority.cert))

    def secure() -> ssl.SSLSocket:
        return client.wrap_socket(socket.create_connection(("127.0.0.1", server.port), 60), server_hostname="127.0.0.1")

    for plain in (WHOLE, b"\0\0", b""):
        with raw(server.port) as sock:
            sock.sendall(plain)
            sock.shutdown(socket.SHUT_WR)
            assert statuses(until_closed(sock)) == ()
    for half in (b"", b"P", POST):
        with secure() as sock:
            sock.sendall(half)
    until(lambda: server.counts().total() >= 2, "the counts")
    with secure() as sock, server.held(Accepted()) as release:
        sock.sendall(WHOLE)
        loop.run(stub.until(1))
        sock.sendall(b"\0\0")
        until(lambda: server.counts()["", "malformed"], "the broken request")
        release()
        assert statuses(until_closed(sock)) == (200, 400)
    assert server.counts() == Counter({("", "client_gone"): 2, STORED: 1, ("", "malformed"): 1})
    loop.run(running.stop(0))
    pipeline.close()
