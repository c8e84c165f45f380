"""What HTTP clients send, whole, broken or cut off, and how it is answered and counted."""

from typing import NamedTuple

from tests.acceptance.http_client import PAYLOAD, PROTOBUF

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
# While a request waits for its turn the server reads nothing, and may see only after it that its client has left.
QUEUED = {name: (data, counted) for name, (data, counted) in LEFT.items() if GONE in counted} | {
    "a request": (WHOLE, [GONE]),
    "two requests and half the headers": (WHOLE + WHOLE + POST, [GONE, GONE, ("", "client_gone")]),
}
LEFT_BEHIND = {**LEFT, **QUEUED, "no HTTP": (b"\0\0", [("", "malformed")])}
