"""One HTTP request and its answer over ASGI: headers, a body read under limits, an end that the sender gets to see."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from otelgres.collector.otlp.cors import Cors, Header

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

# Where the server puts the connection's transport into the ASGI scope: ASGI itself tells only those who wait for it.
CONNECTION: Final = "otelgres.connection"
CLOSE: Final = (b"connection", b"close")

# How long the rest of a refused body is still read and thrown away. Closing at once would reset the connection, and
# the sender would see that instead of the answer and send the same again.
_LINGER_SECONDS: Final = 5.0


class ClientGone(Exception):  # noqa: N818 (nothing went wrong here)
    """Nobody is left to answer."""


class BodyTooLarge(Exception):  # noqa: N818
    """More than the limit, announced or sent."""


class BodyTooSlow(Exception):  # noqa: N818
    """The body did not arrive in time."""


class Exchange:
    """A request; answer it exactly once."""

    def __init__(self, scope: Any, receive: Receive, send: Send, cors: Cors) -> None:
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._client: tuple[str, int] | None = scope["client"]
        self._receive = receive
        self._send = send
        self._cors = cors
        self._connection = scope["extensions"][CONNECTION]["transport"]
        self._body_ended = False

    def header(self, name: bytes) -> bytes | None:
        """The value of a header by its lower-case name; several are one, joined by commas, as HTTP has it."""
        values = [value for key, value in self._headers if key == name]
        return b", ".join(values) if values else None

    def text_header(self, name: bytes) -> str | None:
        """The same as text; bytes beyond ASCII stand for themselves."""
        value = self.header(name)
        return None if value is None else value.decode("latin-1")

    @property
    def address(self) -> str:
        """The client's IP address."""
        return self._client[0] if self._client else "unknown"

    def gone(self) -> bool:
        """Whether the client has closed the connection."""
        return bool(self._connection.is_closing())

    async def body(self, limit: int, seconds: float, reserve: Callable[[int], None]) -> bytes:
        """The whole body, at most ``limit`` bytes. ``reserve`` is told of every piece before it is kept, and may raise.

        Raises BodyTooLarge, BodyTooSlow or ClientGone.
        """
        announced = self.header(b"content-length")
        if announced is not None and int(announced) > limit:
            raise BodyTooLarge
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(seconds):
                while not self._body_ended:
                    event = await self._receive()
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
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def answer(self, status: int, headers: Iterable[Header], body: bytes = b"") -> None:
        """Send the answer. What is left of the request's body is read away for a while, then the connection closed."""
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
                while not self._body_ended:
                    event = await self._receive()
                    self._body_ended = event["type"] != "http.request" or not event.get("more_body", False)
