"""An HTTP/1.1 connection with limits that uvicorn's httptools protocol lacks: header size and time, write time,
pipelined requests and number of connections. Offers to upgrade are declined. Responses are in the requests' order, also
those to requests that end here, and each request of which a byte has arrived is counted.
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

from otelgres.collector.otlp.http_exchange import CONNECTION, Connection
from otelgres.collector.outcomes import Reason, Rejected
from otelgres.collector.system.network import client_network
from otelgres.collector.system.shares import Shares
from otelgres.exporters.outcome import Invalid, TooLarge

_FORGET: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_BAD_REQUEST: Final = b"400 Bad Request"
_RETRY: Final = b"retry-after: 1\r\n"
# The parser gets the data in pieces, because it does not tell where in them it has delivered something.
_FEED_BYTES: Final = 16 * 1024
_UPGRADE_HEADERS: Final = frozenset({b"upgrade", b"http2-settings"})


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """``header_bytes`` also limits trailers; ``header_seconds`` runs from a request's first byte (or the connect).

    ``connections``: shared by the clients' networks, see ``Shares``; ``ahead``: pipelined requests after one that is
    not answered yet; ``answer_seconds``: how long the client may not read a response; ``idle_seconds``: how long a
    connection may wait for its next request; ``handshake_seconds``: TLS.
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
    LimitedProtocol.open_connections = Shares(limits.connections)
    return LimitedProtocol


class _TooFarAhead(Exception):  # noqa: N818 (never leaves this module)
    """The client has sent too many pipelined requests."""


class _AfterLast(Exception):  # noqa: N818 (never leaves this module)
    """The client has sent data after a request with which it ends the connection."""


class _BoundedProtocol(HttpToolsProtocol):
    limits: ConnectionLimits
    open_connections: Shares

    def count(self, reason: Reason) -> None:
        """Counts a request that ends here."""
        raise NotImplementedError

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Bytes received since the parser last delivered something: what it holds, to within _FEED_BYTES.
        self._held_bytes = 0
        self._header_timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None
        self._offer: tuple[bytes, str] | None = None
        # Whether a request has begun that has not reached the application yet.
        self._begun = False
        self._in_body = False
        # Whether the request that was parsed last is the connection's last, by its version or header.
        self._is_last = False
        # Whether received data is discarded instead of parsed.
        self._discards = False
        # Sent before the connection is closed, as soon as all requests in the application are answered.
        self._final: bytes | None = None
        # The client's network, if the connection is counted.
        self._network: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # So that pause_writing is called as soon as the client stops reading. (0 would pause TLS with nothing to send.)
        transport.set_write_buffer_limits(high=1)
        network = client_network(self.client[0] if self.client else "unknown")
        if self.open_connections.take(network, 1):
            self._network = network
            self._start_header_timer()
        else:
            self._refuse(Reason.THROTTLED, b"503 Service Unavailable", b"too many connections; retry", _RETRY)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_header_timer()
        self._stop_answer_timer()
        if self._network is not None:
            self.open_connections.give_back(self._network, 1)
            self._network = None
        for _ in range(len(self.pipeline) + self._begun):  # requests that have not reached the application
            self.count(Reason.CLIENT_GONE)
        self.pipeline.clear()
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
        for start in range(0, len(data), _FEED_BYTES):
            if self._discards or self.transport.is_closing():
                return
            piece = data[start : start + _FEED_BYTES]
            try:
                self._feed(piece)
            except httptools.HttpParserUpgrade as upgrade:
                self._decline_upgrade(data[start + upgrade.args[0] :])
                return

    def _feed(self, data: bytes) -> None:
        self._held_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            match error.__context__:
                case _AfterLast():
                    self._discards = True
                case _TooFarAhead():
                    text = b"too many pipelined requests; retry"
                    self._refuse(Reason.THROTTLED, b"503 Service Unavailable", text, _RETRY)
                case _ if self._in_body:
                    self._end_body(Reason.MALFORMED, Invalid("the request's body is not valid HTTP/1.1"))
                case _:
                    self._refuse(Reason.MALFORMED, _BAD_REQUEST, b"this is not an HTTP/1.1 request")
            return
        if self._held_bytes <= self.limits.header_bytes:
            return
        if self._in_body:
            self._end_body(Reason.TOO_LARGE, TooLarge("the request's chunk extensions or trailers are too large"))
        else:
            self._refuse(Reason.TOO_LARGE, b"431 Request Header Fields Too Large", b"the request headers are too large")

    def on_message_begin(self) -> None:
        if self._is_last:
            raise _AfterLast
        self._begun = True
        # Not with any data, as uvicorn does: empty lines between requests would keep the connection open for ever.
        self._unset_keepalive_if_required()
        self._start_header_timer()
        super().on_message_begin()
        self.scope["extensions"] = {CONNECTION: Connection(self.transport)}  # type: ignore[dict-item]

    def on_headers_complete(self) -> None:
        self._held_bytes = 0
        self._stop_header_timer()
        # The response to the request before may have started it.
        self._unset_keepalive_if_required()
        if self.parser.should_upgrade():
            self._offer = (self.parser.get_method(), self.parser.get_http_version())
            return
        previous = self.cycle
        super().on_headers_complete()
        # uvicorn has no limit: it reads another 256 KiB of requests for each one that it has answered.
        if len(self.pipeline) > self.limits.ahead:
            self.pipeline.popleft()
            self.cycle = previous
            raise _TooFarAhead
        self._begun = False
        self._in_body = True
        self._is_last = not self.cycle.keep_alive
        # uvicorn would add the trailers to the headers of the request.
        self.headers = []

    def on_body(self, body: bytes) -> None:
        self._held_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._held_bytes = 0
        if self._offer is None:
            self._in_body = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._close_when_answered()

    def shutdown(self) -> None:
        if self._begun:
            self._begun = False
            self.count(Reason.STOPPING)
            self._discards = True
        super().shutdown()

    def _decline_upgrade(self, rest: bytes) -> None:
        # Java's HTTP client offers h2c with the first request of a connection, curl on demand. httptools then parses a
        # message without a body: an empty request would be acknowledged and the data dropped. So the same request is
        # parsed again without the offer.
        assert self._offer is not None
        method, version = self._offer
        self._offer = None
        if method == b"CONNECT":
            self._refuse(Reason.MALFORMED, _BAD_REQUEST, b"this is not a proxy")
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
            self._begun = False
            self.count(Reason.TIMEOUT)
        self._end(b"")

    def _give_up(self) -> None:
        # A close would wait until the client reads the rest. SO_LINGER with 0 s makes the kernel drop it too.
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _FORGET)
        self.transport.abort()

    def _stop_answer_timer(self) -> None:
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def _refuse(self, reason: Reason, status: bytes, text: bytes, header: bytes = b"") -> None:
        self._begun = False
        self._stop_header_timer()
        self.count(reason)
        head = b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\n%b" % (status, header)
        self._end(head + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(text) + text)

    def _end(self, final: bytes) -> None:
        self._discards = True
        self._final = final
        self._close_when_answered()

    def _close_when_answered(self) -> None:
        # The client would take a response for the one to its first request that is not answered.
        answered = self.cycle is None or self.cycle.response_complete
        if self._final is not None and answered and not self.transport.is_closing():
            self.transport.write(self._final)
            self.transport.close()

    def _end_body(self, reason: Reason, outcome: Invalid | TooLarge) -> None:
        # The application counts and answers the request, which may have to wait for its turn.
        self._discards = True
        connection: Any = self.scope["extensions"]
        connection[CONNECTION].fault = Rejected(reason, outcome)
        self.cycle.message_event.set()
