"""OTLP/HTTP as a bare ASGI application: routes, media types, content codings, answers in the request's own encoding.

Whatever happens, the sender gets an answer it understands: never a redirect (SDKs count a 3xx as success and lose the
data) and never 500 (which the protocol makes final). Refuses to know sockets, and which status an outcome deserves.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from otelgres.collector.otlp.cors import Cors
from otelgres.collector.otlp.decompression import ACCEPTED, CorruptBody, OverLimit, UnknownCoding, codings, inflate
from otelgres.collector.otlp.http_exchange import BodyTooLarge, BodyTooSlow, ClientGone, Exchange, Receive, Send
from otelgres.collector.otlp.status import STOPPING, UNEXPECTED, Encoding, http_answer, http_refusal
from otelgres.collector.security.authenticator import Authenticator
from otelgres.collector.security.principal import Principal, acting_as
from otelgres.collector.security.tokens import TokenScope
from otelgres.collector.telemetry.rejections import RejectionCounters
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.otlp_json import InvalidJson, JsonTooLarge, request_from_json
from otelgres.exporters.outcome import Invalid, Outcome, Overloaded, TooLarge, Unavailable

_log = logging.getLogger(__name__)

Submit = Callable[[Batch], Awaitable[Outcome]]

_SIGNALS: Final = {f"/v1/{signal}": signal for signal in Signal}
_ENCODINGS: Final = {encoding.value.encode(): encoding for encoding in Encoding}

# Larger JSON, and whatever must first be inflated to be measured, is decoded in a thread, so that one of them does not
# hold up everybody's acknowledgements.
_INLINE_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Page:
    """One answer to a GET."""

    status: int
    content_type: str
    body: bytes


PageMaker = Callable[[], Awaitable[Page]]


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """``request_bytes`` before and after inflation; ``held_bytes`` of all bodies being read or decoded."""

    request_bytes: int = 64 * 1024 * 1024
    held_bytes: int = 256 * 1024 * 1024
    seconds: float = 60.0


class _RejectedRequest(Exception):  # noqa: N818 (never leaves this module)
    """The request ends here, with this outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class HttpApp:
    """``pages`` are the GET routes by path; a ``authenticator`` lets nobody but ``open_pages`` through without a token.

    ``close`` ends its two decoding threads.
    """

    def __init__(
        self,
        submit: Submit,
        pages: Mapping[str, PageMaker],
        cors: Cors,
        limits: BodyLimits,
        *,
        authenticator: Authenticator | None,
        open_pages: Collection[str],
        rejections: RejectionCounters | None = None,
    ) -> None:
        self._rejections = rejections or RejectionCounters()
        self._submit = submit
        self._authenticator = authenticator
        self._open_pages = frozenset(open_pages)
        self._pages = pages
        self._cors = cors
        self._limits = limits
        self._held = 0
        self._decoders = ThreadPoolExecutor(max_workers=2, thread_name_prefix="otlp-http-decode")

    def close(self) -> None:
        self._decoders.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send, self._cors)
        try:
            await self._route(scope["path"], scope["method"], exchange)
        except asyncio.CancelledError:
            # Only a stopping server cancels, and nobody awaits this task: a raised cancellation would be logged as an
            # error and answered with 500.
            return

    async def _route(self, path: str, method: str, exchange: Exchange) -> None:
        signal = _SIGNALS.get(path)
        if signal is not None:
            if method == "POST":
                if self._authenticator is None or await self._admitted(
                    self._authenticator, TokenScope.INGEST, exchange
                ):
                    await self._export(signal, exchange)
            elif method == "OPTIONS" and self._cors.enabled:
                requested = exchange.header(b"access-control-request-headers")
                await exchange.answer(204, self._cors.preflight_headers(requested))
            else:
                await exchange.answer_text(405, f"use POST for {path}", (b"allow", b"POST"))
        elif path in self._pages:
            if method in ("GET", "HEAD"):
                if (
                    self._authenticator is None
                    or path in self._open_pages
                    or await self._admitted(self._authenticator, TokenScope.READ, exchange)
                ):
                    await self._page(path, exchange)
            else:
                await exchange.answer_text(405, f"use GET for {path}", (b"allow", b"GET, HEAD"))
        else:
            await exchange.answer_text(404, "no such path; OTLP/HTTP is served at " + ", ".join(_SIGNALS))

    async def _admitted(self, authenticator: Authenticator, scope: TokenScope, exchange: Exchange) -> bool:
        """Whether to go on; if not, the answer is given, and nothing of the body was kept."""
        verdict = authenticator.admit(
            exchange.text_header(b"authorization"), exchange.text_header(b"x-api-key"), scope, exchange.address
        )
        if isinstance(verdict, Principal):
            acting_as(verdict)
            return True
        answer = http_refusal(verdict, _ENCODINGS.get(_media_type(exchange), Encoding.JSON))
        await exchange.answer(answer.status, answer.headers, answer.body)
        return False

    async def _page(self, path: str, exchange: Exchange) -> None:
        try:
            page = await self._pages[path]()
        except Exception:  # noqa: BLE001 (whoever asks for health must get an answer)
            _log.exception("unexpected error while answering %s", path)
            page = Page(503, "text/plain; charset=utf-8", b"unexpected error; see the receiver's log")
        await exchange.answer(page.status, ((b"content-type", page.content_type.encode()),), page.body)

    async def _export(self, signal: Signal, exchange: Exchange) -> None:
        encoding = _ENCODINGS.get(_media_type(exchange))
        if encoding is None:
            self._rejections.add("http", signal, "media_type")
            await exchange.answer_text(415, "send Content-Type: " + " or ".join(e.value for e in Encoding))
            return
        try:
            applied = codings((exchange.header(b"content-encoding") or b"").decode("latin-1"))
        except UnknownCoding as error:
            self._rejections.add("http", signal, "content_encoding")
            unknown = http_answer(signal, Invalid(str(error)), encoding)
            await exchange.answer(415, (*unknown.headers, (b"accept-encoding", ACCEPTED.encode())), unknown.body)
            return
        try:
            payload = await self._payload(signal, encoding, applied, exchange)
            answer = http_answer(signal, await self._submit(Batch(signal, payload)), encoding)
        except ClientGone:
            return
        except _RejectedRequest as refused:
            if isinstance(refused.outcome, Invalid | TooLarge):
                reason = "malformed" if isinstance(refused.outcome, Invalid) else "too_large"
                self._rejections.add("http", signal, reason)
            answer = http_answer(signal, refused.outcome, encoding)
        except asyncio.CancelledError:
            answer = http_answer(signal, STOPPING, encoding)
        except Exception:  # noqa: BLE001 (whatever it was, the sender must hear "later")
            _log.exception("unexpected error while taking %s over HTTP; the sender was told to retry", signal)
            answer = http_answer(signal, UNEXPECTED, encoding)
        await exchange.answer(answer.status, answer.headers, answer.body)

    async def _payload(self, signal: Signal, encoding: Encoding, applied: tuple[str, ...], exchange: Exchange) -> bytes:
        """The request as protobuf bytes. Raises _RejectedRequest or ClientGone."""
        limit = self._limits.request_bytes
        held = 0

        def reserve(size: int) -> None:
            nonlocal held
            held += size
            self._held += size
            if self._held > self._limits.held_bytes:
                raise _RejectedRequest(Overloaded(1.0, "too many requests are arriving at once; send it again"))

        try:
            body = await exchange.body(limit, self._limits.seconds, reserve)
            if encoding is Encoding.PROTOBUF and not applied:
                return body
            if len(body) <= _INLINE_BYTES and not applied:
                return _decoded(signal, encoding, applied, body, limit)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._decoders, _decoded, signal, encoding, applied, body, limit)
        except BodyTooLarge:
            raise _RejectedRequest(TooLarge(f"the request is larger than {limit:,} bytes; send it in parts")) from None
        except BodyTooSlow:
            raise _RejectedRequest(Unavailable(1.0, "the request took too long to arrive; send it again")) from None
        finally:
            self._held -= held


def _media_type(exchange: Exchange) -> bytes:
    return (exchange.header(b"content-type") or b"").partition(b";")[0].strip().lower()


def _decoded(signal: Signal, encoding: Encoding, applied: tuple[str, ...], body: bytes, limit: int) -> bytes:
    try:
        inflated = inflate(body, applied, limit)
        return request_from_json(signal, inflated) if encoding is Encoding.JSON else inflated
    except (CorruptBody, InvalidJson) as error:
        raise _RejectedRequest(Invalid(str(error))) from None
    except (OverLimit, JsonTooLarge) as error:
        raise _RejectedRequest(TooLarge(str(error))) from None
