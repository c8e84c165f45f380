"""The queue: requests wait until a writer commits them together; then they are answered.

Group commit without a timer: a writer takes all waiting requests, up to a limit, so a single request is committed at
once and many are committed in large groups. The queue is limited in bytes and in expected waiting time; beyond either
limit, requests are rejected with a retry delay.

Senders share the queue: they are written in turn, by bytes; a full queue rejects the newest requests of whoever has the
most in it; and while several have sent within the last second, one of them is not given all the writers for groups of
full size.
"""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from otelgres.collector.queue.fair_queue import FairQueue
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
# How long a sender counts as one of several after its last request, and how many are remembered.
_RECENT_SECONDS: Final = 1.0
_MOST_RECENT: Final = 4096
# The least of a group that one of several senders may fill.
_LEAST_SHARE: Final = 4


class BatchWriter(Protocol):
    """Stores batches. ``write`` returns the final outcome of each batch, in order."""

    def write(self, batches: Sequence[Batch]) -> list[Outcome]: ...

    def close(self) -> None: ...


Settled = Callable[[Outcome], None]


class _PendingRequest(NamedTuple):
    batch: Batch
    settled: Settled
    answer: "asyncio.Future[Outcome]"
    since: float


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    requests: list[_PendingRequest]
    senders: frozenset[str]
    size: int


class QueueState(NamedTuple):
    """``waited``: seconds of the oldest request without an answer; ``took``: seconds of the last group, ended ``ago``.

    ``stored``: whether the last group was stored; ``full``: whether no request would be accepted.
    """

    waited: float
    took: float
    ago: float
    stored: bool
    full: bool


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


class _RecentSenders:
    """The senders of the last second."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def add(self, sender: str, now: float) -> None:
        self._at.pop(sender, None)
        self._at[sender] = now
        self.count(now)

    def count(self, now: float) -> int:
        while self._at:
            sender, at = next(iter(self._at.items()))
            if now - at <= _RECENT_SECONDS and len(self._at) <= _MOST_RECENT:
                break
            del self._at[sender]
        return len(self._at)


class GroupCommitQueue:
    """Accepts batches in one asyncio loop; threads write them, each with its own writer."""

    def __init__(
        self, make_writer: Callable[[], BatchWriter], *, writers: int = 2, max_queue_bytes: int = 256 << 20
    ) -> None:
        self._max_queue_bytes = max_queue_bytes
        self._waiting: FairQueue[_PendingRequest] = FairQueue()
        self._writing: list[_Group] = []
        self._recent = _RecentSenders()
        self._bytes = 0
        self._rate = _CommitRate()
        self._last = (0.0, -math.inf, True)
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

    def state(self) -> QueueState:
        """What the requests tell about storing."""
        with self._changed:
            now = time.monotonic()
            oldest = min(
                (request.since for request in self._waiting.oldest()),
                default=now,
            )
            oldest = min([oldest, *(group.requests[0].since for group in self._writing)])
            took, at, stored = self._last
            full = self._bytes >= self._max_queue_bytes
            return QueueState(now - oldest, took, now - at, stored, full)

    async def submit(self, batch: Batch, settled: Settled, sender: str) -> Outcome:
        """The batch's final outcome; ``settled`` is called with it first, in this loop.

        If the caller is cancelled, the batch is still written and ``settled`` is called.
        """
        waiting = self._admitted(batch, settled, sender)
        if not isinstance(waiting, _PendingRequest):
            settled(waiting)
            return waiting
        return await asyncio.shield(waiting.answer)

    def _admitted(self, batch: Batch, settled: Settled, sender: str) -> _PendingRequest | Outcome:
        size = len(batch.payload)
        dropped: list[_PendingRequest] = []
        with self._changed:
            if self._closing:
                return Unavailable(_RETRY_AFTER, "the receiver is stopping; retry")
            now = time.monotonic()
            self._recent.add(sender, now)
            accepted = self._has_room(sender, size, now) and self._make_room(sender, size, dropped)
            if accepted:
                waiting = _PendingRequest(batch, settled, self._loop.create_future(), now)
                self._waiting.append(sender, waiting, size)
                self._bytes += size
                self._changed.notify()
        full = Overloaded(_RETRY_AFTER, "the queue is full; retry")
        self._answer(dropped, [full] * len(dropped))
        return waiting if accepted else full

    def _has_room(self, sender: str, size: int, now: float) -> bool:
        # An empty queue accepts any request: the transports limit its size.
        soon = self._rate.within(_LONGEST_WAIT)
        if not self._bytes or self._bytes + size <= soon:
            return True
        # The rest may be others'. Writers take this sender's part of the bytes from it, whatever else waits.
        return self._waiting.bytes_of(sender) + size <= soon / self._contenders(now) and self._contenders(now) > 1

    def _make_room(self, sender: str, size: int, dropped: list[_PendingRequest]) -> bool:
        """Whether the queue has ``size`` bytes free, if need be without the newest requests of those with more."""
        while self._bytes and self._bytes + size > self._max_queue_bytes:
            found = self._waiting.drop_largest(self._waiting.bytes_of(sender) + size)
            if found is None:
                return False
            request, freed = found
            self._bytes -= freed
            dropped.append(request)
        return True

    def _contenders(self, now: float) -> int:
        return max(1, self._waiting.senders, self._recent.count(now))

    async def close(self, seconds: float) -> None:
        """Waits at most ``seconds`` for the writers to store the queue; the rest is rejected with a retry delay."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            await asyncio.to_thread(thread.join, max(0.0, deadline - time.monotonic()))
        with self._changed:
            left = self._waiting.clear()
        if left:
            log.warning("%d requests were not stored before the receiver stopped; clients are told to retry", len(left))
        self._answer(left, [Unavailable(_RETRY_AFTER, "the receiver is stopping; retry")] * len(left))

    def _work(self, make_writer: Callable[[], BatchWriter]) -> None:
        writer = make_writer()
        try:
            while group := self._next_group():
                try:
                    outcomes = writer.write([waiting.batch for waiting in group.requests])
                except Exception:
                    log.exception("a writer failed; clients are told to retry")
                    writer.close()
                    unavailable = Unavailable(_RETRY_AFTER, "the receiver could not store the request; retry")
                    outcomes = [unavailable] * len(group.requests)
                if max(len(waiting.batch.payload) for waiting in group.requests) > LARGE:
                    release_memory()
                self._written(group, outcomes)
                try:
                    self._loop.call_soon_threadsafe(self._answer, group.requests, outcomes)
                except RuntimeError:
                    # The loop is closed: the process is ending.
                    return
                # Not kept until the next group comes.
                del group, outcomes
        finally:
            writer.close()

    def _written(self, group: _Group, outcomes: Sequence[Outcome]) -> None:
        stored = not any(isinstance(outcome, Unavailable) for outcome in outcomes)
        with self._changed:
            now = time.monotonic()
            self._writing.remove(group)
            self._bytes -= group.size
            self._rate.stored(group.size, more=bool(self._waiting))
            self._last = (now - group.requests[0].since, now, stored)
            if self._waiting:
                # Another writer may have been left free for other senders than those of this group.
                self._changed.notify()

    def _next_group(self) -> _Group | None:
        with self._changed:
            while True:
                if not self._waiting:
                    if self._closing:
                        return None
                    self._changed.wait()
                elif group := self._take():
                    self._writing.append(group)
                    return group
                else:
                    self._changed.wait(_RECENT_SECONDS)

    def _take(self) -> _Group | None:
        most = int(min(GROUP_BYTES, max(_SMALLEST_GROUP_BYTES, self._rate.within(_GROUP_SECONDS))))
        several = self._contenders(time.monotonic())
        small: frozenset[str] = frozenset()
        if several > 1 and not self._closing and 0 < len(self._writing) == len(self._threads) - 1:
            # The last free writer.
            small = frozenset().union(*(group.senders for group in self._writing))
        share = most // min(several, _LEAST_SHARE)
        found = self._waiting.take(most, share, small, _SMALLEST_GROUP_BYTES)
        if not found:
            return None
        requests = [request for request, _, _ in found]
        return _Group(requests, frozenset(sender for _, sender, _ in found), sum(size for _, _, size in found))

    @staticmethod
    def _answer(group: Sequence[_PendingRequest], outcomes: Sequence[Outcome]) -> None:
        for waiting, outcome in zip(group, outcomes, strict=True):
            waiting.settled(outcome)
            if not waiting.answer.done():
                waiting.answer.set_result(outcome)
