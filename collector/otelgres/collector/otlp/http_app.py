"""The ASGI application of OTLP/HTTP: routes, request bodies under limits, and pages.

Responses have the request's encoding. It never redirects (SDKs take a 3xx for success and lose the data) and never
answers 500 (not retryable in OTLP).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from otelgres.collector.otlp.cors import Cors
from otelgres.collector.otlp.decompression import ACCEPTED, UnknownCoding, codings
from otelgres.collector.otlp.export import Body, Pipeline
from otelgres.collector.otlp.http_exchange import BodyTooLarge, BodyTooSlow, ClientGone, Exchange, Receive, Send
from otelgres.collector.otlp.status import Encoding, HttpAnswer, http_answer, http_rejection
from otelgres.collector.outcomes import STOPPING, MethodNotAllowed, NotFound, Reason, Rejected, Rejection, Unsupported
from otelgres.collector.security.authenticator import Credentials
from otelgres.collector.security.tokens import TokenScope
from otelgres.collector.system.shares import Shares
from otelgres.exporters.batch import Signal
from otelgres.exporters.outcome import Overloaded, TooLarge, Unavailable

_log = logging.getLogger(__name__)

_TRANSPORT: Final = "http"
_SIGNALS: Final = {f"/v1/{signal}": signal for signal in Signal}
_ENCODINGS: Final = {encoding.value.encode(): encoding for encoding in Encoding}


@dataclass(frozen=True, slots=True)
class Page:
    """A response to a GET."""

    status: int
    content_type: str
    body: bytes


PageMaker = Callable[[], Awaitable[Page]]


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """``held_bytes`` of all bodies being read or decoded, in ``Shares``; ``seconds`` to receive one of them."""

    held_bytes: int = 256 * 1024 * 1024
    seconds: float = 60.0


class HttpApp:
    """``pages`` are the GET routes by path; ``open_pages`` never need a token."""

    def __init__(
        self,
        pipeline: Pipeline,
        pages: Mapping[str, PageMaker],
        cors: Cors,
        limits: BodyLimits,
        *,
        open_pages: Collection[str],
    ) -> None:
        self._pipeline = pipeline
        self._open_pages = frozenset(open_pages)
        self._pages = pages
        self._cors = cors
        self._bodies = _Bodies(limits, pipeline.max_bytes)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send, self._cors)
        try:
            await self._route(scope["path"], scope["method"], exchange)
        except asyncio.CancelledError:
            # Only a stopping server cancels, and this task is not awaited: raising would be logged as an error and
            # answered with 500.
            return

    async def _route(self, path: str, method: str, exchange: Exchange) -> None:
        signal = _SIGNALS.get(path)
        if signal is not None:
            await self._signal(signal, path, method, exchange)
        elif path in self._pages:
            await self._page(path, method, exchange)
        else:
            message = "no such path; OTLP/HTTP is served at " + ", ".join(_SIGNALS)
            await self._reject(None, Rejected(Reason.WRONG_PATH, NotFound(message)), exchange)

    async def _signal(self, signal: Signal, path: str, method: str, exchange: Exchange) -> None:
        if method == "POST":
            encoding = _encoding(exchange)
            outcome = await self._pipeline.export(_HttpRequest(signal, exchange, self._bodies, encoding))
            await _answer(exchange, http_answer(signal, outcome, encoding or Encoding.JSON))
        elif method == "OPTIONS" and self._cors.enabled:
            self._pipeline.metrics.page(path, Reason.NONE)
            requested = exchange.header(b"access-control-request-headers")
            await exchange.answer(204, self._cors.preflight_headers(requested))
        else:
            wrong = MethodNotAllowed(f"use POST for {path}", allow="POST")
            await self._reject(signal, Rejected(Reason.WRONG_METHOD, wrong), exchange)

    async def _reject(self, signal: Signal | None, rejected: Rejected, exchange: Exchange) -> None:
        await _answer_rejection(exchange, self._pipeline.reject(_TRANSPORT, signal, rejected))

    async def _page(self, path: str, method: str, exchange: Exchange) -> None:
        try:
            if method not in ("GET", "HEAD"):
                wrong = MethodNotAllowed(f"use GET for {path}", allow="GET, HEAD")
                raise Rejected(Reason.WRONG_METHOD, wrong)  # noqa: TRY301 (one answer for all rejections)
            if path not in self._open_pages:
                self._pipeline.authenticate(_credentials(exchange), TokenScope.READ)
            page = await self._pages[path]()
            reason = Reason.NONE
        except Rejected as rejected:
            self._pipeline.metrics.page(path, rejected.reason)
            await _answer_rejection(exchange, rejected.outcome)
            return
        except asyncio.CancelledError:
            page = Page(503, "text/plain; charset=utf-8", STOPPING.message.encode())
            reason = Reason.STOPPING
        except Exception:  # noqa: BLE001 (a health check must get a response)
            _log.exception("unexpected error while answering %s", path)
            page = Page(503, "text/plain; charset=utf-8", b"unexpected error; see the receiver's log")
            reason = Reason.UNEXPECTED
        self._pipeline.metrics.page(path, reason)
        await exchange.answer(page.status, ((b"content-type", page.content_type.encode()),), page.body)


class _Bodies:
    """The bodies being read or decoded, with their limits, and their bytes by sender."""

    def __init__(self, limits: BodyLimits, request_bytes: int) -> None:
        self.seconds = limits.seconds
        self.request_bytes = request_bytes
        self.shares = Shares(limits.held_bytes)


class _HttpRequest:
    """A POST, as a request of the pipeline."""

    __slots__ = ("_bodies", "_encoding", "_exchange", "_held", "_sender", "signal")
    transport: Final = _TRANSPORT

    def __init__(self, signal: Signal, exchange: Exchange, bodies: _Bodies, encoding: Encoding | None) -> None:
        self.signal = signal
        self._exchange = exchange
        self._bodies = bodies
        self._encoding = encoding
        self._held = 0
        self._sender = ""

    def credentials(self) -> Credentials:
        return _credentials(self._exchange)

    async def body(self, sender: str) -> Body:
        self._sender = sender
        if self._encoding is None:
            wanted = Unsupported("send Content-Type: " + " or ".join(e.value for e in Encoding))
            raise Rejected(Reason.MEDIA_TYPE, wanted)
        try:
            applied = codings((self._exchange.header(b"content-encoding") or b"").decode("latin-1"))
        except UnknownCoding as error:
            raise Rejected(Reason.CONTENT_ENCODING, Unsupported(str(error), ACCEPTED)) from None
        limit = self._bodies.request_bytes
        try:
            data = await self._exchange.body(limit, self._bodies.seconds, self._reserve)
        except BodyTooLarge:
            too_large = TooLarge(f"the request is larger than {limit:,} bytes; send it in parts")
            raise Rejected(Reason.TOO_LARGE, too_large) from None
        except BodyTooSlow:
            slow = Unavailable(1.0, "the request was not received in time; retry")
            raise Rejected(Reason.TIMEOUT, slow) from None
        except ClientGone:
            raise Rejected(Reason.CLIENT_GONE, Unavailable(1.0, "the client has gone")) from None
        return Body(data, self._encoding is Encoding.JSON, applied)

    def release(self) -> None:
        if self._held:
            self._bodies.shares.give_back(self._sender, self._held)
            self._held = 0

    def gone(self) -> Reason | None:
        return Reason.CLIENT_GONE if self._exchange.gone() else None

    def _reserve(self, size: int) -> None:
        if not self._bodies.shares.take(self._sender, size, at_once=self._held):
            raise Rejected(Reason.THROTTLED, Overloaded(1.0, "too many requests at once; retry"))
        self._held += size


def _credentials(exchange: Exchange) -> Credentials:
    return Credentials(exchange.text_header(b"authorization"), exchange.text_header(b"x-api-key"), exchange.address)


def _encoding(exchange: Exchange) -> Encoding | None:
    media_type = (exchange.header(b"content-type") or b"").partition(b";")[0].strip().lower()
    return _ENCODINGS.get(media_type)


async def _answer(exchange: Exchange, answer: HttpAnswer) -> None:
    await exchange.answer(answer.status, answer.headers, answer.body)


async def _answer_rejection(exchange: Exchange, outcome: Rejection) -> None:
    await _answer(exchange, http_rejection(outcome, _encoding(exchange) or Encoding.JSON))
