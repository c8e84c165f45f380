"""Counters of this process's telemetry by disposition, in items: spans, log records, metric points."""

import itertools
import threading
from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

from otelgres.exporters.batch import Signal

Disposition: TypeAlias = Literal["sent", "spooled", "replayed", "console", "stderr", "refused", "dropped", "overflowed"]
DISPOSITIONS: Final[tuple[Disposition, ...]] = get_args(Disposition)
Change: TypeAlias = Literal["truncated", "redacted", "damaged"]
CHANGES: Final[tuple[Change, ...]] = get_args(Change)


class Counts:
    """Counters since the process started or was forked. ``overflow``, called on application threads, takes no lock."""

    def __init__(self) -> None:
        self._queues: dict[Signal, Callable[[], int]] = {}
        self.forked()

    def forked(self) -> None:
        """Resets all counters; the parent counts its own items."""
        # Reentrant: a signal handler may read while it interrupts a read.
        self._lock = threading.RLock()
        self._items = {signal: dict.fromkeys(DISPOSITIONS, 0) for signal in Signal}
        self._changes = dict.fromkeys(CHANGES, 0)
        self._overflow = {signal: itertools.count() for signal in Signal}
        self._overflow_reads = dict.fromkeys(Signal, 0)

    def add(self, signal: Signal, disposition: Disposition, items: int) -> None:
        """Adds ``items`` of ``signal`` with this disposition."""
        with self._lock:
            self._items[signal][disposition] += items

    def changed(self, change: Change, number: int) -> None:
        """Adds ``number`` values truncated or redacted, or batches lost to damage in spool files."""
        with self._lock:
            self._changes[change] += number

    def overflow(self, signal: Signal) -> None:
        """A full queue dropped its oldest item. One atomic operation, since it runs inside the application's calls.

        The SDK checks before it appends, so an item is counted but not lost if an export empties the queue in between.
        """
        next(self._overflow[signal])

    def watch(self, signal: Signal, queued: Callable[[], int]) -> None:
        """Registers ``queued``, which returns how many items of ``signal`` are in the queue."""
        self._queues[signal] = queued

    def queued(self, signal: Signal) -> int:
        """The number of items of ``signal`` in the queue."""
        return self._queues[signal]() if signal in self._queues else 0

    def items(self) -> dict[Signal, dict[Disposition, int]]:
        """The number of items by signal and disposition."""
        with self._lock:
            found = {signal: dict(dispositions) for signal, dispositions in self._items.items()}
            for signal, counter in self._overflow.items():
                # Reading an atomic counter increments it: subtract the earlier reads.
                found[signal]["overflowed"] += next(counter) - self._overflow_reads[signal]
                self._overflow_reads[signal] += 1
            return found

    def changes(self) -> dict[Change, int]:
        """The number of values truncated or redacted, and of batches lost to damage in spool files."""
        with self._lock:
            return dict(self._changes)
