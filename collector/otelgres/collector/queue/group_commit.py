"""The queue: requests wait until a writer commits them together; then they are answered.

Group commit without a timer: a writer takes all waiting requests, up to a limit, so a single request is committed at
once and many are committed in large groups. The queue is limited in bytes and in expected waiting time; beyond either
limit, requests are rejected with a retry delay.
"""

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from otelgres.collector.system.memory import LARGE, release_memory
from otelgres.exporters.batch import Batch
from otelgres.exporters.outcome import Outcome, Overloaded, Unavailable

log = logging.getLogger(__name__)

# About 4,000 spans: larger groups were not faster, and smaller ones need more commits.
GROUP_BYTES: Final = 1_500_000
_RETRY_AFTER: Final = 1.0
# Seconds. Clients give up after 10 s, retries included: docs/chaos.md has the cost of a longer wait under overload.
_LONGEST_WAIT: Final = 1.0
# With a slow database a large group takes seconds; groups below the minimum would only add commits.
_GROUP_SECONDS: Final = 0.25
_SMALLEST_GROUP_BYTES: Final = 256_000
_HALF_LIFE: Final = 2.0
_LEAST_EVIDENCE: Final = 0.5


class BatchWriter(Protocol):
    """Stores batches. ``write`` returns the final outcome of each batch, in order."""

    def write(self, batches: Sequence[Batch]) -> list[Outcome]: ...

    def close(self) -> None: ...


Settled = Callable[[Outcome], None]


class _PendingRequest(NamedTuple):
    batch: Batch
    settled: Settled
    answer: "asyncio.Future[Outcome]"


class _CommitRate:
    """Bytes a second that the writers store while requests wait. Unknown once the queue is empty."""

    def __init__(self) -> None:
        self._bytes = self._seconds = 0.0
        self._since: float | None = None

    def stored(self, size: int, *, more: bool) -> None:
        """Adds a stored group; ``more``: other requests are waiting."""
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
        """How many bytes can be stored in ``seconds``; infinite if unknown."""
        if self._seconds < _LEAST_EVIDENCE:
            return math.inf
        return self._bytes / self._seconds * seconds


class GroupCommitQueue:
    """Accepts batches in one asyncio loop; threads write them, each with its own writer."""

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
        """The batch's final outcome; ``settled`` is called with it first, in this loop.

        If the caller is cancelled, the batch is still written and ``settled`` is called.
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
                return Unavailable(_RETRY_AFTER, "the receiver is stopping; retry")
            # An empty queue accepts any request: the transports limit its size.
            if self._bytes and self._bytes + size > min(self._max_queue_bytes, self._rate.within(_LONGEST_WAIT)):
                return Overloaded(_RETRY_AFTER, "the queue is full; retry")
            waiting = _PendingRequest(batch, settled, self._loop.create_future())
            self._waiting.append(waiting)
            self._bytes += size
            self._changed.notify()
        return waiting

    async def close(self, seconds: float) -> None:
        """Waits at most ``seconds`` for the writers to store the queue; the rest is rejected with a retry delay."""
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
            log.warning("%d requests were not stored before the receiver stopped; clients are told to retry", len(left))
        self._answer(left, [Unavailable(_RETRY_AFTER, "the receiver is stopping; retry")] * len(left))

    def _work(self, make_writer: Callable[[], BatchWriter]) -> None:
        writer = make_writer()
        try:
            while group := self._next_group():
                try:
                    outcomes = writer.write([waiting.batch for waiting in group])
                except Exception:
                    log.exception("a writer failed; clients are told to retry")
                    writer.close()
                    unavailable = Unavailable(_RETRY_AFTER, "the receiver could not store the request; retry")
                    outcomes = [unavailable] * len(group)
                size = sum(len(waiting.batch.payload) for waiting in group)
                if max(len(waiting.batch.payload) for waiting in group) > LARGE:
                    release_memory()
                with self._changed:
                    self._bytes -= size
                    self._rate.stored(size, more=bool(self._waiting))
                try:
                    self._loop.call_soon_threadsafe(self._answer, group, outcomes)
                except RuntimeError:
                    # The loop is closed: the process is ending.
                    return
                # Not kept until the next group comes.
                del group, outcomes
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
