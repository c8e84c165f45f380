"""Every end of an HTTP connection in every state of it: true answers in the requests' order, one count a request."""

import asyncio
import re
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from otelgres.collector.otlp.http_app import Page
from otelgres.collector.otlp.http_protocol import ConnectionLimits
from otelgres.collector.otlp.http_server import serve_http
from otelgres.collector.security.tls import Certificates, TlsFiles
from otelgres.exporters.outcome import Accepted, Outcome, Unavailable
from tests.acceptance.certificates import Authority
from tests.acceptance.desk import Desk, LoopThread
from tests.acceptance.http_client import PAYLOAD, PROTOBUF, always_ready, ask, heard, post, raw, until_closed
from tests.acceptance.http_client import serving as serving_port
from tests.waiting import until

Counts = Counter[tuple[str, str]]

FIELDS = f"Host: x\r\nContent-Type: {PROTOBUF}\r\n".encode()
POST = b"POST /v1/traces HTTP/1.1\r\n" + FIELDS
LENGTH = b"Content-Length: %d\r\n" % len(PAYLOAD)
CLOSE = b"Connection: close\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
UPGRADE = b"Connection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
WHOLE = POST + LENGTH + b"\r\n" + PAYLOAD
LAST = POST + LENGTH + CLOSE + b"\r\n" + PAYLOAD
CHUNK = b"%x\r\n" % len(PAYLOAD) + PAYLOAD + b"\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
# More than the limit on headers and trailers.
LONG = b"x" * 100_000

STORED = ("traces", "")
GONE = ("traces", "client_gone")


class Sent(NamedTuple):
    """What a client sends, the statuses of the answers, and how the requests are counted."""

    data: bytes
    statuses: tuple[int, ...]
    counted: tuple[tuple[str, str], ...]


def malformed(data: bytes) -> Sent:
    return Sent(data, (400,), (("", "malformed"),))


def broken_body(data: bytes, *statuses: int) -> Sent:
    return Sent(data, statuses or (400,), (("traces", "malformed"),))


def stored(data: bytes, *statuses: int) -> Sent:
    return Sent(data, statuses or (200,), (STORED,))


LARGE = (("traces", "too_large"),)
METHOD = (("traces", "wrong_method"),)
PATH = (("", "wrong_path"),)

# After each of these the server closes the connection.
SENT = {
    "no HTTP": malformed(b"hello\r\n\r\n"),
    "an unknown method": malformed(b"FOO / HTTP/1.1\r\n\r\n"),
    "TLS": malformed(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "HTTP/2": malformed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/1.2": malformed(b"GET /healthz HTTP/1.2\r\n\r\n"),
    "a proxy's request": malformed(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a path that is not ASCII": malformed(b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n"),
    "lines that end with LF": malformed(WHOLE.replace(b"\r\n", b"\n")),
    "NUL in a header": malformed(POST + b"X: a\0b\r\n\r\n"),
    "CR in a header": malformed(POST + b"X: a\rb\r\n\r\n"),
    "a folded header": malformed(POST + b"X: a\r\n b\r\n" + LENGTH + b"\r\n" + PAYLOAD),
    "a space before the colon": malformed(POST + b"X : a\r\n\r\n"),
    "two lengths": malformed(POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
    "a list of lengths": malformed(POST + b"Content-Length: 3, 3\r\n\r\nabc"),
    "a length and chunks": malformed(POST + LENGTH + CHUNKED + b"\r\n0\r\n\r\n"),
    "chunks and a length": malformed(POST + CHUNKED + LENGTH + b"\r\n0\r\n\r\n"),
    "a negative length": malformed(POST + b"Content-Length: -1\r\n\r\n"),
    "an empty length": malformed(POST + b"Content-Length:\r\n\r\n"),
    "a length beyond 64 bits": malformed(POST + b"Content-Length: 99999999999999999999\r\n\r\n"),
    "chunks that are not last": malformed(POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    "a long header": Sent(b"GET / HTTP/1.1\r\nX: " + LONG, (431,), (("", "too_large"),)),
    "a long path": Sent(b"GET /" + LONG, (431,), (("", "too_large"),)),
    "no chunk size": broken_body(POST + CHUNKED + b"\r\nzz\r\n"),
    "no second chunk size": broken_body(POST + CHUNKED + b"\r\n" + CHUNK + b"zz\r\n"),
    "no chunks": broken_body(POST + b"Transfer-Encoding: gzip\r\n\r\nabc"),
    "no chunk size before a 100": broken_body(POST + CHUNKED + b"Expect: 100-continue\r\n\r\nzz\r\n"),
    "no chunk size for a page": Sent(
        b"GET /healthz HTTP/1.1\r\n" + CHUNKED + b"\r\nzz\r\n", (200,), (("/healthz", ""),)
    ),
    "no chunk size for no path": Sent(b"POST /x HTTP/1.1\r\n" + CHUNKED + b"\r\nzz\r\n", (404,), PATH),
    "long trailers": Sent(POST + CHUNKED + b"\r\n" + CHUNK + b"0\r\nX: " + LONG, (413,), LARGE),
    "a long chunk size": Sent(POST + CHUNKED + b"\r\n1;x=" + LONG, (413,), LARGE),
    "a coding and chunks": Sent(
        POST + CLOSE + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNK + b"0\r\n\r\n",
        (415,),
        (("traces", "content_encoding"),),
    ),
    "trailers that are headers": stored(
        POST + CLOSE + CHUNKED + b"\r\n" + CHUNK + b"0\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n\r\n"
    ),
    "an absolute URI": stored(b"POST http://x/v1/traces HTTP/1.1\r\n" + FIELDS + CLOSE + LENGTH + b"\r\n" + PAYLOAD),
    "every path": Sent(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n", (404,), PATH),
    "GET": Sent(b"GET /v1/traces HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n", (405,), METHOD),
    "HEAD": Sent(b"HEAD /v1/traces HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n", (405,), METHOD),
    "an empty line before": stored(b"\r\n" + LAST),
    "a wait for a 100": stored(POST + LENGTH + CLOSE + b"Expect: 100-continue\r\n\r\n" + PAYLOAD, 100, 200),
    "an offer to upgrade": stored(POST + LENGTH + UPGRADE + b"\r\n" + PAYLOAD),
    "HTTP/1.0": stored(b"POST /v1/traces HTTP/1.0\r\n" + FIELDS + LENGTH + b"\r\n" + PAYLOAD),
    # What follows a client's last request is not a request.
    "a request after the last": stored(LAST + HEALTH),
    "no HTTP after the last": stored(LAST + b"\0\0"),
    "a request after HTTP/1.0": stored(
        b"POST /v1/traces HTTP/1.0\r\nConnection: keep-alive\r\n" + FIELDS + LENGTH + b"\r\n" + PAYLOAD + HEALTH
    ),
    "a request after an offer": stored(POST + LENGTH + UPGRADE + b"\r\n" + PAYLOAD + HEALTH),
    "no HTTP after a request": Sent(WHOLE + b"\0\0", (200, 400), (STORED, ("", "malformed"))),
    "a long header after two": Sent(
        WHOLE + WHOLE + b"GET / HTTP/1.1\r\nX: " + LONG, (200, 200, 431), (STORED, STORED, ("", "too_large"))
    ),
    "a broken body after two": Sent(
        WHOLE + WHOLE + POST + CHUNKED + b"\r\nzz\r\n",
        (200, 200, 400),
        (STORED, STORED, ("traces", "malformed")),
    ),
}


class Server:
    """A server, the desk behind it, and the counts of its requests by (signal or page, reason)."""

    def __init__(self, loop: LoopThread, port: int, desk: Desk) -> None:
        self.loop = loop
        self.port = port
        self.desk = desk

    def counts(self) -> Counts:
        found: Counts = Counter()
        for (name, labels), value in self.desk.metrics.numbers().items():
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

        self.desk.outcomes = [wait]
        try:
            yield release
        finally:
            release()


@contextmanager
def serving(loop: LoopThread, **limits: float) -> Iterator[Server]:
    desk = Desk()
    with serving_port(loop, desk, connection_limits=ConnectionLimits(**limits)) as port:  # type: ignore[arg-type]
        yield Server(loop, port, desk)


@pytest.fixture(scope="module")
def shared(loop: LoopThread) -> Iterator[Server]:
    with serving(loop) as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Server:
    shared.desk.clear()
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
    assert len(server.desk.batches) == sent.counted.count(STORED)
    server.check(expected)


@pytest.mark.parametrize("name", SENT)
def test_on_an_idle_connection(server: Server, name: str) -> None:
    sent = SENT[name]
    expected = server.counts() + Counter([STORED, *sent.counted])
    with raw(server.port) as sock:
        sock.sendall(WHOLE)
        assert heard(sock).status == 200
        sock.sendall(sent.data)
        assert statuses(until_closed(sock)) == sent.statuses
    assert len(server.desk.batches) == 1 + sent.counted.count(STORED)
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
        server.loop.run(server.desk.until(1))
        sock.sendall(sent.data)
        server.has_read()
        release()
        assert statuses(until_closed(sock)) == (status, *sent.statuses)
    assert len(server.desk.batches) == 1 + sent.counted.count(STORED)
    server.check(expected)


def close(sock: socket.socket) -> None:
    sock.close()


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def half_close(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_WR)
    until_closed(sock)


ENDS = [close, reset, half_close]
# What a client has sent when it leaves.
LEFT: dict[str, tuple[bytes, list[tuple[str, str]]]] = {
    "nothing": (b"", []),
    "an empty line": (b"\r\n", []),
    "a byte": (b"P", [("", "client_gone")]),
    "half the headers": (POST, [("", "client_gone")]),
    "half an offer to upgrade": (POST + UPGRADE, [("", "client_gone")]),
    "the headers": (POST + LENGTH + b"\r\n", [GONE]),
    "the headers of one that waits for a 100": (POST + LENGTH + b"Expect: 100-continue\r\n\r\n", [GONE]),
    "half the body": (POST + LENGTH + b"\r\n" + PAYLOAD[:5], [GONE]),
    "half a chunk": (POST + CHUNKED + b"\r\n" + CHUNK[:9], [GONE]),
    "half the trailers": (POST + CHUNKED + b"\r\n" + CHUNK + b"0\r\nX: ", [GONE]),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", LEFT)
def test_a_client_that_leaves(server: Server, name: str, end: Callable[[socket.socket], None]) -> None:
    data, counted = LEFT[name]
    for before in ([], [STORED]):
        expected = server.counts() + Counter([*before, *counted])
        with raw(server.port) as sock:
            if before:
                sock.sendall(WHOLE)
                assert heard(sock).status == 200
            sock.sendall(data)
            server.has_read()
            end(sock)
        server.check(expected)


# While a request waits for its turn the server reads nothing, and may see only after it that its client has left.
QUEUED = {name: (data, counted) for name, (data, counted) in LEFT.items() if GONE in counted} | {
    "a request": (WHOLE, [GONE]),
    "two requests and half the headers": (WHOLE + WHOLE + POST, [GONE, GONE, ("", "client_gone")]),
}
LEFT_BEHIND = {**LEFT, **QUEUED, "no HTTP": (b"\0\0", [("", "malformed")])}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_a_client_that_leaves_before_its_answer(
    server: Server, name: str, end: Callable[[socket.socket], None]
) -> None:
    data, left = LEFT_BEHIND[name]
    before = server.counts()
    with raw(server.port) as sock, server.held(Accepted()) as release:
        sock.sendall(WHOLE)
        server.loop.run(server.desk.until(1))
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
            assert statuses(answers).count(200) <= counted[STORED] <= len(server.desk.batches)
    else:
        assert server.counts() == expected
    assert post(server.port).status == 200


def test_too_many_pipelined_requests(loop: LoopThread) -> None:
    with serving(loop, ahead=2) as server, raw(server.port) as sock, server.held(Accepted()) as release:
        sock.sendall(WHOLE * 6)
        loop.run(server.desk.until(1))
        server.has_read()
        release()
        assert statuses(until_closed(sock)) == (200, 200, 200, 503)
        server.check(Counter({STORED: 3, ("", "throttled"): 1}))


def test_headers_that_take_too_long(loop: LoopThread) -> None:
    with serving(loop, header_seconds=0.3) as server, raw(server.port) as sock, server.held(Accepted()) as release:
        sock.sendall(WHOLE)
        loop.run(server.desk.until(1))
        sock.sendall(POST)
        until(lambda: server.counts()["", "timeout"], "the timeout")
        release()
        assert statuses(until_closed(sock)) == (200,)
        server.check(Counter({STORED: 1, ("", "timeout"): 1}))


def test_empty_lines_do_not_keep_a_connection(loop: LoopThread) -> None:
    with serving(loop, idle_seconds=0.3) as server, raw(server.port) as sock:
        sock.sendall(WHOLE)
        assert heard(sock).status == 200
        sock.sendall(b"\r\n")
        assert until_closed(sock) == b""
        server.check(Counter({STORED: 1}))


def test_a_request_that_began_before_an_answer_is_not_idle(loop: LoopThread) -> None:
    async def slow() -> Outcome:
        await asyncio.sleep(0.5)
        return Accepted()

    with serving(loop, idle_seconds=0.2) as server, raw(server.port) as sock, server.held(Accepted()) as release:
        server.desk.outcomes.append(slow)
        sock.sendall(WHOLE)
        loop.run(server.desk.until(1))
        sock.sendall(POST)
        server.has_read()
        release()
        assert heard(sock).status == 200
        sock.sendall(LENGTH + b"\r\n" + PAYLOAD)
        assert heard(sock).status == 200
        server.check(Counter({STORED: 2}))


def test_a_server_that_stops(loop: LoopThread) -> None:
    desk = Desk()
    asked = asyncio.Event()

    async def never() -> Page:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    pipeline = desk.pipeline()
    running = loop.run(serve_http(pipeline, "127.0.0.1", 0, ready=always_ready, pages={"/slow": never}))
    server = Server(loop, running.port, desk)
    with raw(server.port) as page, raw(server.port) as half, raw(server.port) as idle:
        page.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        half.sendall(POST)
        idle.sendall(WHOLE)
        assert heard(idle).status == 200
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
    desk = Desk()
    pipeline = desk.pipeline()
    tls = Certificates(TlsFiles(pair.cert, pair.key)).http_context()
    running = loop.run(serve_http(pipeline, "127.0.0.1", 0, ready=always_ready, tls=tls))
    server = Server(loop, running.port, desk)
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
        loop.run(desk.until(1))
        sock.sendall(b"\0\0")
        until(lambda: server.counts()["", "malformed"], "the broken request")
        release()
        assert statuses(until_closed(sock)) == (200, 400)
    assert server.counts() == Counter({("", "client_gone"): 2, STORED: 1, ("", "malformed"): 1})
    loop.run(running.stop(0))
    pipeline.close()
