"""The pipeline of an export request, for both transports: authenticate, read, decode, process, queue, count.

A transport makes a :class:`Request` and converts the outcome with ``status``. Every request is counted once.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple, Protocol

from otelgres.collector.otlp.decompression import CorruptBody, OverLimit, inflate
from otelgres.collector.otlp.turns import GaveWay, TaskTurns, all_turns
from otelgres.collector.outcomes import (
    STOPPING,
    UNEXPECTED,
    Answerable,
    Reason,
    Rejected,
    Rejection,
    reason_of,
)
from otelgres.collector.security.authenticator import Authenticator, Credentials
from otelgres.collector.security.principal import Principal, sender_of
from otelgres.collector.security.tokens import TokenScope
from otelgres.collector.system.memory import LARGE, release_memory
from otelgres.collector.system.shares import Shares
from otelgres.collector.telemetry.metrics import Metrics
from otelgres.collector.telemetry.rejections import RejectionCounters
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.otlp_json import InvalidJson, request_from_json
from otelgres.exporters.outcome import Invalid, Outcome, Overloaded, TooLarge
from otelgres.exporters.outline import DEFAULT_BOUNDS, Bounds, Outline, TooManyParts, outline
from otelgres.exporters.slices import SLICE_BYTES
from otelgres.exporters.wire import Malformed

_log = logging.getLogger(__name__)

# Larger JSON, and every compressed body, is decoded in a thread, so that the event loop is not blocked.
_INLINE_BYTES: Final = 8 * 1024
_DECODING: Final = 2
_WAITING_FOR_DECODING: Final = 512
_DECODING_WAIT_SECONDS: Final = 10.0
# A request that takes more steps is counted in a thread: each takes less than a microsecond.
_INLINE_STEPS: Final = 4096
# Requests of the largest size that are counted or changed by processors, or wait for that.
_MOST_PREPARING: Final = 4


class Body(NamedTuple):
    """A request's bytes as received: protobuf or JSON, with ``codings`` in the order they were applied."""

    data: bytes
    json: bool = False
    codings: tuple[str, ...] = ()


class Request(Protocol):
    """One export request of a transport."""

    @property
    def transport(self) -> str:
        """``grpc`` or ``http``."""

    @property
    def signal(self) -> Signal: ...

    def credentials(self) -> Credentials:
        """The credentials in the request's headers."""

    async def body(self, sender: str) -> Body:
        """Reads it, within the transport's limits and the sender's share. Raises Rejected."""

    def release(self) -> None:
        """Releases the memory that ``body`` has reserved; called once the body is decoded or rejected."""

    def gone(self) -> Reason | None:
        """The reason if the client has gone; None while it waits for an answer."""


class Processor(Protocol):
    """Changes a batch before it is queued. ``tenant`` is the token's, or None."""

    async def process(self, batch: Batch, tenant: str | None) -> Batch:
        """The changed batch. Raises Rejected."""


class Queue(Protocol):
    """Holds batches until they are stored."""

    async def submit(self, batch: Batch, settled: Callable[[Outcome], None], sender: str) -> Outcome:
        """The batch's final outcome. ``settled`` is called with it even if the caller has been cancelled."""


class Pipeline:
    """The pipeline behind both transports of one receiver. For one event loop; ``close`` ends its threads."""

    def __init__(
        self,
        queue: Queue,
        metrics: Metrics,
        rejections: RejectionCounters,
        *,
        authenticator: Authenticator | None = None,
        processors: Sequence[Processor] = (),
        max_bytes: int = 64 * 1024 * 1024,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> None:
        """``max_bytes`` of a request, before and after decompression; ``bounds`` are counted before it is parsed.

        Without ``authenticator`` no token is needed.
        """
        self._queue = queue
        self.metrics = metrics
        self._rejections = rejections
        self._authenticator = authenticator
        self._processors = tuple(processors)
        self.max_bytes = max_bytes
        self._bounds = bounds
        # Bytes of the requests that are counted or changed by a processor.
        self._preparing = Shares(_MOST_PREPARING * max_bytes)
        self._decoders = ThreadPoolExecutor(max_workers=all_turns(_DECODING), thread_name_prefix="otlp-decode")
        # Made in the event loop.
        self._decoding: TaskTurns | None = None

    @property
    def authenticates(self) -> bool:
        """Whether a token is needed."""
        return self._authenticator is not None

    def close(self) -> None:
        """Ends the decoding threads."""
        self._decoders.shutdown(wait=False, cancel_futures=True)

    async def export(self, request: Request) -> Answerable:
        """Processes the request and returns its outcome. Raises CancelledError if the client has gone."""
        outcome: Answerable
        reason = Reason.UNEXPECTED
        try:
            outcome = await self._export(request)
            reason = request.gone() or reason_of(outcome)
        except Rejected as rejected:
            outcome, reason = rejected.outcome, rejected.reason
            self._note_loss(request.transport, request.signal, reason, rejected.sample, rejected.tenant)
        except asyncio.CancelledError:
            if gone := request.gone():
                reason = gone
                self._note_loss(request.transport, request.signal, reason)
                raise
            outcome, reason = STOPPING, Reason.STOPPING
        except Exception:  # noqa: BLE001 (the client must be told to retry after any error)
            _log.exception(
                "unexpected error in a request of %s over %s; the client was told to retry",
                request.signal,
                request.transport,
            )
            outcome = UNEXPECTED
        finally:
            self.metrics.request(request.transport, request.signal, reason)
        return outcome

    def reject(self, transport: str, signal: Signal | None, rejected: Rejected) -> Rejection:
        """Counts a request that is rejected before the export; ``signal`` is None if it has none."""
        self.metrics.request(transport, signal, rejected.reason)
        self._note_loss(transport, signal, rejected.reason, rejected.sample)
        return rejected.outcome

    def authenticate(self, credentials: Credentials, scope: TokenScope) -> Principal | None:
        """The principal of the request; None if no token is needed. Raises Rejected."""
        return self._authenticator.admit(credentials, scope) if self._authenticator is not None else None

    async def _export(self, request: Request) -> Outcome:
        credentials = request.credentials()
        principal = self.authenticate(credentials, TokenScope.INGEST)
        tenant = principal.tenant if principal is not None else None
        try:
            return await self._export_for(tenant, sender_of(principal, credentials.address), request)
        except Rejected as rejected:
            rejected.tenant = tenant
            raise

    async def _export_for(self, tenant: str | None, sender: str, request: Request) -> Outcome:
        signal = request.signal
        try:
            batch = Batch(signal, await self._decoded_in_turn(signal, await request.body(sender), sender))
        finally:
            request.release()
        large = len(batch.payload) > LARGE
        try:
            return await self._queued(request.transport, batch, tenant, sender)
        finally:
            if large:
                # Not after the end of the executor.
                with suppress(RuntimeError):
                    self._decoders.submit(release_memory)

    async def _queued(self, transport: str, batch: Batch, tenant: str | None, sender: str) -> Outcome:
        # JSON may become larger than the limit.
        size = min(len(batch.payload), _MOST_PREPARING * self.max_bytes)
        if not self._preparing.take(sender, size):
            raise Rejected(Reason.THROTTLED, Overloaded(1.0, "too many large requests at once; retry"))
        try:
            batch, settled = await self._prepared(transport, batch, tenant)
        finally:
            self._preparing.give_back(sender, size)
        return await self._queue.submit(batch, settled, sender)

    async def _prepared(
        self, transport: str, batch: Batch, tenant: str | None
    ) -> tuple[Batch, Callable[[Outcome], None]]:
        """The counted and changed batch, and what to call with its outcome. Raises Rejected."""
        found = await self._counted(batch)
        settled = partial(self.metrics.settled, transport, batch.signal, found.items if found is not None else 0)
        for processor in self._processors:
            try:
                batch = await processor.process(batch, tenant)
            except Rejected as rejected:
                settled(rejected.outcome)
                raise
        if found is not None:
            batch = replace(batch, parts=found.parts)
        return batch, settled

    async def _decoded_in_turn(self, signal: Signal, body: Body, sender: str) -> bytes:
        if not body.json and not body.codings:
            return await self._decoded(signal, body)
        if self._decoding is None:
            # A thread cannot be interrupted.
            self._decoding = TaskTurns(_DECODING, _WAITING_FOR_DECODING, _DECODING_WAIT_SECONDS, early=False)
        try:
            return await self._decoding.run(sender, partial(self._decoded, signal, body))
        except (GaveWay, TimeoutError):
            busy = Overloaded(1.0, "too many requests at once; retry")
            raise Rejected(Reason.THROTTLED, busy) from None

    async def _decoded(self, signal: Signal, body: Body) -> bytes:
        if not body.json and not body.codings:
            return body.data
        if not body.codings and len(body.data) <= _INLINE_BYTES:
            return _decode(signal, body, self.max_bytes, self._bounds)
        return await asyncio.get_running_loop().run_in_executor(
            self._decoders, _decode, signal, body, self.max_bytes, self._bounds
        )

    async def _counted(self, batch: Batch) -> Outline | None:
        """The outline; None if the request is malformed, which the queue answers. Raises Rejected."""
        try:
            found = outline(batch.signal, batch.payload, self._bounds, _INLINE_STEPS)
            if found is None:
                found = await asyncio.get_running_loop().run_in_executor(
                    self._decoders, outline, batch.signal, batch.payload, self._bounds
                )
        except Malformed as error:
            if len(batch.payload) > SLICE_BYTES:
                # Not even to be parsed by a processor, since nobody knows what is in it.
                invalid = Invalid(f"the body is not an OTLP {batch.signal} request: {error}")
                raise Rejected(Reason.MALFORMED, invalid) from None
            return None
        except TooManyParts as error:
            raise Rejected(Reason.TOO_LARGE, Invalid(str(error)), str(error)) from None
        return found

    def _note_loss(
        self, transport: str, signal: Signal | None, reason: Reason, sample: str = "", tenant: str | None = None
    ) -> None:
        if reason.is_loss:
            self._rejections.add(transport, signal or "any", reason, sample, tenant=tenant)


def _decode(signal: Signal, body: Body, limit: int, bounds: Bounds) -> bytes:
    inflated = b""
    try:
        inflated = inflate(body.data, body.codings, limit)
        return request_from_json(signal, inflated, bounds) if body.json else inflated
    except (CorruptBody, InvalidJson) as error:
        raise Rejected(Reason.MALFORMED, Invalid(str(error))) from None
    except TooManyParts as error:
        raise Rejected(Reason.TOO_LARGE, Invalid(str(error)), str(error)) from None
    except OverLimit as error:
        raise Rejected(Reason.TOO_LARGE, TooLarge(str(error))) from None
    finally:
        if body.json and len(inflated) > LARGE:
            release_memory()
