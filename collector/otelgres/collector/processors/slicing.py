"""Changes a batch slice by slice in a thread, so that neither the event loop waits nor the whole request is parsed."""

import asyncio
from collections.abc import Callable
from typing import Final

from otelgres.collector.outcomes import Reason, Rejected
from otelgres.exporters.batch import Batch
from otelgres.exporters.outcome import Invalid
from otelgres.exporters.slices import SLICE_BYTES, slices
from otelgres.exporters.wire import Malformed

# At most 2,000 messages, which take less than 5 ms.
_INLINE_BYTES: Final = 4096


class Slicer:
    """Changes batches, ``at_once`` in threads. For one event loop."""

    def __init__(self, at_once: int = 2) -> None:
        self._turns = asyncio.Semaphore(at_once)

    async def changed(self, batch: Batch, change: Callable[[Batch], Batch]) -> Batch:
        """The batch after ``change`` of each of its slices. Raises Rejected, and what ``change`` raises."""
        async with self._turns:
            if len(batch.payload) <= _INLINE_BYTES:
                return change(batch)
            return await asyncio.to_thread(_changed, batch, change)


def _changed(batch: Batch, change: Callable[[Batch], Batch]) -> Batch:
    if len(batch.payload) <= SLICE_BYTES:
        return change(batch)
    try:
        # Requests one after another are one request: protobuf merges them.
        return Batch(
            batch.signal,
            b"".join([change(Batch(batch.signal, part)).payload for part in slices(batch.signal, batch.payload)]),
        )
    except Malformed as error:
        # Not the batch as it was: nothing may be stored unchanged.
        raise Rejected(Reason.MALFORMED, Invalid(f"the body is not an OTLP {batch.signal} request: {error}")) from None
