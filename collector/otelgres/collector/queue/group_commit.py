"""The queue: requests wait here until a writer commits them together; then their senders are answered.

Group commit without a timer: a writer takes everything that waits, up to a bound, so a lone request is committed at
once and a flood is committed in large groups. What waits is bounded in bytes and by how long it would wait: past either
bound the answer is "come back".
"""

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from otelgres.exporters.batch import Batch
from otelgres.exporters.outcome import Outcome, Overloaded, Unavailable

log = logging.getLogger(__name__)

# About 4,000 spans: larger groups were not faster, and smaller ones pay the commit more often.
GROUP_BYTES: Final = 1_500_000
_RETRY_AFTER: Final = 1.0
# Seconds. A sender gives one request 10 s, refusals included, and what is stored after that is stored for nobody who
# hears of it: docs/chaos.md has what a longer wait costs under overload.
_LONGEST_WAIT: Final = 1.0
# A group that a slow database works on for seconds is a wait too; smaller ones than this would pay for commits only.
_GROUP_SECONDS: Final = 0.25
_SMALLEST_GROUP_BYTES: Final = 256_000
_HALF_LIFE: Final = 2.0
_LEAST_EVIDENCE: Final = 0.5


class BatchWriter(Protocol):
    """What stores batches. ``write`` answers for each batch in order once its fate is final."""

    def write(self, batches: Sequence[Batch]) -> list[Outcome]: ...

    def close(self) -> None: ...


Settled = Callable[[Outcome], None]


class _PendingRequest(NamedTuple):
    batch: Batch
    settled: Settled
    answer: "asyncio.Future[Outcome]"


class _CommitRate:
    """Bytes a second that the writers store while more is waiting. Unknown once nothing waits: then they keep up."""

    def __init__(self) -> None:
        self._bytes = self._seconds = 0.0
        self._since: float | None = None

    def stored(self, size: int, *, more: bool) -> None:
        """A group was stored; ``more``: others wait."""
        if not more:
            self._bytes = self._seconds = 0.0
            self._since = None
            return
        now = time.monotonic()
        if self._since is not None:
            elapsed = now - self._since
            keep = 0.5 ** (elapsed / _HALF_LIFE)
            self._bytes = self._bytes * keep + size
            self._seconds = self._seconds * keep + elapsed
        self._since = now

    def within(self, seconds: float) -> float:
        """How many bytes would be stored in this time."""
        if self._seconds < _LEAST_EVIDENCE:
            return math.inf
        return self._bytes / self._seconds * seconds


class GroupCommitQueue:
    """Takes batches in one asyncio loop and has them written by threads, each with a writer of its own."""

    def __init__(
        self, make_writer: Callable[[], BatchWriter], *, writers: int = 2, max_queue_bytes: int = 256 << 20
    ) -> None:
        self._max_queue_bytes = max_queue_bytes
        self._waiting: deque[_PendingRequest] = deque()
        self._bytes = 0
        self._rate = _CommitRate()
        self._closing = False
        self._changed = threading.Condition()
        self._loop = asyncio.get_running_loop()
        self._threads = [
            threading.Thread(target=self._work, args=(make_writer,), name=f"writer-{number}", daemon=True)
            for number in range(writers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queued_bytes(self) -> int:
        """Bytes of the requests that are waiting or being written."""
        return self._bytes

    async def submit(self, batch: Batch, settled: Settled) -> Outcome:
        """The batch's final outcome, of which ``settled`` is told first, in this loop.

        A caller that is cancelled does not take its batch back: ``settled`` is called all the same.
        """
        waiting = self._admitted(batch, settled)
        if not isinstance(waiting, _PendingRequest):
            settled(waiting)
            return waiting
        return await asyncio.shield(waiting.answer)

    def _admitted(self, batch: Batch, settled: Settled) -> _PendingRequest | Outcome:
        size = len(batch.payload)
        with self._changed:
            if self._closing:
                return Unavailable(_RETRY_AFTER, "the receiver is stopping; send it again")
            # One request alone is always let in: the transports bound its size.
            if self._bytes and self._bytes + size > min(self._max_queue_bytes, self._rate.within(_LONGEST_WAIT)):
                return Overloaded(_RETRY_AFTER, "too much is waiting to be stored; send it again")
            waiting = _PendingRequest(batch, settled, self._loop.create_future())
            self._waiting.append(waiting)
            self._bytes += size
            self._changed.notify()
        return waiting

    async def close(self, seconds: float) -> None:
        """Lets the writers finish what waits, for at most this many ``seconds``; the rest is answered "come back"."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            await asyncio.to_thread(thread.join, max(0.0, deadline - time.monotonic()))
        with self._changed:
            left = [*self._waiting]
            self._waiting.clear()
        if left:
            log.warning("%d requests were not stored before the receiver stopped; their senders keep them", len(left))
        self._answer(left, [Unavailable(_RETRY_AFTER, "the receiver is stopping; send it again")] * len(left))

    def _work(self, make_writer: Callable[[], BatchWriter]) -> None:
        writer = make_writer()
        try:
            while group := self._next_group():
                try:
                    outcomes = writer.write([waiting.batch for waiting in group])
                except Exception:
                    log.exception("a writer failed; senders are asked to retry")
                    writer.close()
                    away = Unavailable(_RETRY_AFTER, "the receiver could not store this; send it again")
                    outcomes = [away] * len(group)
                size = sum(len(waiting.batch.payload) for waiting in group)
                with self._changed:
                    self._bytes -= size
                    self._rate.stored(size, more=bool(self._waiting))
                try:
                    self._loop.call_soon_threadsafe(self._answer, group, outcomes)
                except RuntimeError:
                    # The loop is gone: the process is ending, and nobody is left to be told.
                    return
        finally:
            writer.close()

    def _next_group(self) -> list[_PendingRequest]:
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return []
                self._changed.wait()
            group: list[_PendingRequest] = []
            size = 0
            most = min(GROUP_BYTES, max(_SMALLEST_GROUP_BYTES, self._rate.within(_GROUP_SECONDS)))
            while self._waiting and (not group or size + len(self._waiting[0].batch.payload) <= most):
                waiting = self._waiting.popleft()
                size += len(waiting.batch.payload)
                group.append(waiting)
            return group

    @staticmethod
    def _answer(group: Sequence[_PendingRequest], outcomes: Sequence[Outcome]) -> None:
        for waiting, outcome in zip(group, outcomes, strict=True):
            waiting.settled(outcome)
            if not waiting.answer.done():
                waiting.answer.set_result(outcome)
