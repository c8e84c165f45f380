"""An HTTP request and its response over ASGI: headers, a body under limits, and a response that the client receives."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from otelgres.collector.otlp.cors import Cors, Header
from otelgres.collector.otlp.decompression import ACCEPTED
from otelgres.collector.outcomes import Reason, Rejected, Unsupported

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

# The key of the request's Connection in the ASGI scope: ASGI itself reports a disconnect only to a waiting receive.
CONNECTION: Final = "otelgres.connection"
CLOSE: Final = (b"connection", b"close")

# How long the rest of a rejected body is read and discarded. Closing at once would reset the connection before the
# client has read the response, and the client would send the same request again.
_LINGER_SECONDS: Final = 5.0
_JOINED_INLINE: Final = 1024 * 1024


@dataclass(slots=True)
class Connection:
    """A request's connection. ``fault``: why the rest of the body cannot be read; set once, before a last event."""

    transport: asyncio.BaseTransport
    fault: Rejected | None = None


class ClientGone(Exception):  # noqa: N818 (not an error of the receiver)
    """The client has closed the connection."""


class BodyTooLarge(Exception):  # noqa: N818
    """The announced or received length is over the limit."""


class BodyTooSlow(Exception):  # noqa: N818
    """The body was not received in time."""


class Exchange:
    """A request; call ``answer`` exactly once."""

    def __init__(self, scope: Any, receive: Receive, send: Send, cors: Cors) -> None:
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._client: tuple[str, int] | None = scope["client"]
        self._receive = receive
        self._send = send
        self._cors = cors
        self._connection: Connection = scope["extensions"][CONNECTION]
        self._body_ended = False

    def header(self, name: bytes) -> bytes | None:
        """The value of a header by its lower-case name; repeated headers are joined by commas, as in HTTP."""
        values = [value for key, value in self._headers if key == name]
        return b", ".join(values) if values else None

    def text_header(self, name: bytes) -> str | None:
        """The value of a header as text, decoded as Latin-1."""
        value = self.header(name)
        return None if value is None else value.decode("latin-1")

    @property
    def address(self) -> str:
        """The client's IP address."""
        return self._client[0] if self._client else "unknown"

    def gone(self) -> bool:
        """Whether the client has closed the connection."""
        return bool(self._connection.transport.is_closing())

    async def body(self, limit: int, seconds: float, reserve: Callable[[int], None]) -> bytes:
        """The whole body, at most ``limit`` bytes. ``reserve`` is called with the size of each piece, and may raise.

        Raises BodyTooLarge, BodyTooSlow, ClientGone, or Rejected for another fault of the body.
        """
        announced = self.header(b"content-length")
        if self._connection.fault is not None:
            raise self._connection.fault
        if announced is None:
            self._check_transfer_encoding()
        elif int(announced) > limit:
            raise BodyTooLarge
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(seconds):
                while not self._body_ended:
                    event = await self._receive()
                    if self._connection.fault is not None:
                        raise self._connection.fault
                    if event["type"] != "http.request":
                        raise ClientGone
                    piece: bytes = event.get("body", b"")
                    self._body_ended = not event.get("more_body", False)
                    size += len(piece)
                    if size > limit:
                        raise BodyTooLarge
                    reserve(len(piece))
                    pieces.append(piece)
        except TimeoutError:
            raise BodyTooSlow from None
        if len(pieces) == 1:
            return pieces[0]
        # Joining more than a mebibyte releases the GIL: in a thread, it does not block the event loop.
        return await asyncio.to_thread(b"".join, pieces) if size > _JOINED_INLINE else b"".join(pieces)

    def _check_transfer_encoding(self) -> None:
        # The parser removes chunked, and leaves a coding before it in the body.
        if (self.header(b"transfer-encoding") or b"chunked").lower() != b"chunked":
            text = "Transfer-Encoding may only be chunked; send Content-Encoding instead"
            raise Rejected(Reason.CONTENT_ENCODING, Unsupported(text, ACCEPTED))

    async def answer(self, status: int, headers: Iterable[Header], body: bytes = b"") -> None:
        """Sends the response. If the body has not been read, discards it for some seconds and closes the connection."""
        complete = [*headers, *self._cors.headers(self.header(b"origin"))]
        if status != 204:
            complete.append((b"content-length", b"%d" % len(body)))
        unread = not self._body_ended and self._has_body()
        if unread:
            complete.append(CLOSE)
        await self._send({"type": "http.response.start", "status": status, "headers": complete})
        if unread:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
            await self._linger()
            body = b""
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def _has_body(self) -> bool:
        return self.header(b"transfer-encoding") is not None or self.header(b"content-length") not in (None, b"0")

    async def _linger(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while not self._body_ended and self._connection.fault is None:
                    event = await self._receive()
                    self._body_ended = event["type"] != "http.request" or not event.get("more_body", False)
