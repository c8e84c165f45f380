"""An HTTP/1.1 connection with limits that uvicorn's httptools protocol lacks: header size and time, write time,
pipelined requests and number of connections. Offers to upgrade are declined.
"""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from otelgres.collector.otlp.http_exchange import CONNECTION
from otelgres.collector.outcomes import Reason

_FORGET: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_UPGRADE_HEADERS: Final = frozenset({b"upgrade", b"http2-settings"})


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """``header_bytes`` also limits trailers; ``header_seconds`` runs from a request's first byte (or the connect).

    ``ahead``: pipelined requests after one that is not answered yet; ``answer_seconds``: how long the client may not
    read a response; ``idle_seconds``: how long a connection may wait for its next request; ``handshake_seconds``: TLS.
    """

    connections: int = 1024
    ahead: int = 64
    header_bytes: int = 64 * 1024
    header_seconds: float = 10.0
    answer_seconds: float = 30.0
    idle_seconds: float = 125.0
    handshake_seconds: float = 10.0


def bounded_protocol(limits: ConnectionLimits, rejected: Callable[[Reason], None]) -> type[HttpToolsProtocol]:
    """The protocol class with ``limits``; uvicorn needs a class.

    ``rejected`` is called for each request that ends before it reaches the application.
    """

    class LimitedProtocol(_BoundedProtocol):
        def count(self, reason: Reason) -> None:
            rejected(reason)

    LimitedProtocol.limits = limits
    return LimitedProtocol


class _TooFarAhead(Exception):  # noqa: N818 (never leaves this module)
    """The client has sent too many pipelined requests."""


class _BoundedProtocol(HttpToolsProtocol):
    limits = ConnectionLimits()

    def count(self, reason: Reason) -> None:
        """Counts a request that ends here."""
        raise NotImplementedError

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Bytes received since the parser last delivered something: an upper bound of what it holds.
        self._held_bytes = 0
        self._header_timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None
        self._offer: tuple[bytes, str] | None = None
        # Whether a request has begun that has not reached the application yet.
        self._begun = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # So that pause_writing is called as soon as the client stops reading. (0 would pause TLS with nothing to send.)
        transport.set_write_buffer_limits(high=1)
        if len(self.connections) > self.limits.connections:
            self._reject(
                b"503 Service Unavailable", b"too many connections; retry", Reason.THROTTLED, b"retry-after: 1\r\n"
            )
        else:
            self._start_header_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_header_timer()
        self._stop_answer_timer()
        for _ in self.pipeline:  # pipelined requests that were not started
            self.count(Reason.CLIENT_GONE)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop_answer_timer()
        self._answer_timer = self.loop.call_later(self.limits.answer_seconds, self._give_up)

    def resume_writing(self) -> None:
        self._stop_answer_timer()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        # Replaces uvicorn's method, which drops the data after an offer to upgrade.
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._held_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, _TooFarAhead):
                # No response: the client would take it for the response to its first unanswered request.
                self.count(Reason.THROTTLED)
                self.transport.close()
                return
            self._reject_malformed("this is not an HTTP/1.1 request")
            return
        if self._held_bytes > self.limits.header_bytes and not self.transport.is_closing():
            self._reject(b"431 Request Header Fields Too Large", b"the request headers are too large", Reason.TOO_LARGE)

    def on_message_begin(self) -> None:
        self._begun = True
        self._start_header_timer()
        super().on_message_begin()
        self.scope["extensions"] = {CONNECTION: {"transport": self.transport}}

    def on_headers_complete(self) -> None:
        self._held_bytes = 0
        self._stop_header_timer()
        if self.parser.should_upgrade():
            self._offer = (self.parser.get_method(), self.parser.get_http_version())
        else:
            super().on_headers_complete()
            self._begun = False
            # uvicorn has no limit: it reads another 256 KiB of requests for each one that it has answered.
            if len(self.pipeline) > self.limits.ahead:
                self.pipeline.popleft()
                raise _TooFarAhead

    def on_body(self, body: bytes) -> None:
        self._held_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._held_bytes = 0
        if self._offer is None:
            super().on_message_complete()

    def _decline_upgrade(self, rest: bytes) -> None:
        # Java's HTTP client offers h2c with the first request of a connection, curl on demand. httptools then parses a
        # message without a body: an empty request would be acknowledged and the data dropped. So the same request is
        # parsed again without the offer.
        assert self._offer is not None
        method, version = self._offer
        self._offer = None
        if method == b"CONNECT":
            self._reject_malformed("this is not a proxy")
            return
        head = [method, b" ", self.url, b" HTTP/", version.encode(), b"\r\n"]
        for name, value in self.headers:
            if name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() not in _UPGRADE_HEADERS]
                head += [name, b": ", b",".join(kept), b"\r\n"]
            elif name not in _UPGRADE_HEADERS:
                head += [name, b": ", value, b"\r\n"]
        self.parser = httptools.HttpRequestParser(self)
        # As in uvicorn: with "Connection: close", data after the request does not cause a 400.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(b"".join(head) + b"\r\n" + rest)

    def _start_header_timer(self) -> None:
        self._stop_header_timer()
        self._header_timer = self.loop.call_later(self.limits.header_seconds, self._give_up_headers)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _give_up_headers(self) -> None:
        if self._begun:
            self.count(Reason.TIMEOUT)
        self.transport.close()

    def _reject_malformed(self, text: str) -> None:
        self._count_unless_served(Reason.MALFORMED)
        self.send_400_response(text)

    def _count_unless_served(self, reason: Reason) -> None:
        # During a body the application counts the request when the connection is closed.
        if self._begun or self.cycle is None or self.cycle.response_complete:
            self.count(reason)

    def _give_up(self) -> None:
        # A close would wait until the client reads the rest. SO_LINGER with 0 s makes the kernel drop it too.
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _FORGET)
        self.transport.abort()

    def _stop_answer_timer(self) -> None:
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def _reject(self, status: bytes, text: bytes, reason: Reason, header: bytes = b"") -> None:
        self._count_unless_served(reason)
        # Nothing can be sent once a response has started.
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            head = b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\n%b" % (status, header)
            self.transport.write(head + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(text) + text)
        self.transport.close()
