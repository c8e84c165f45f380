"""What became of this process's telemetry, in items: spans, log records, metric points.

Refuses to know who counts and who reads. What the application's threads call often, ``overflow``, takes no lock.
"""

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
    """Counters since the process began, or was forked."""

    def __init__(self) -> None:
        self._queues: dict[Signal, Callable[[], int]] = {}
        self.forked()

    def forked(self) -> None:
        """From zero: what the parent did is counted there."""
        # Reentrant: a signal handler may read what the main thread is just reading.
        self._lock = threading.RLock()
        self._items = {signal: dict.fromkeys(DISPOSITIONS, 0) for signal in Signal}
        self._changes = dict.fromkeys(CHANGES, 0)
        self._overflow = {signal: itertools.count() for signal in Signal}
        self._looks = dict.fromkeys(Signal, 0)

    def add(self, signal: Signal, disposition: Disposition, items: int) -> None:
        """``items`` of ``signal`` met this disposition."""
        with self._lock:
            self._items[signal][disposition] += items

    def changed(self, change: Change, number: int) -> None:
        """``number`` values were truncated or redacted, or batches lost to damage of spool files."""
        with self._lock:
            self._changes[change] += number

    def overflow(self, signal: Signal) -> None:
        """A full queue lost its oldest item. One atomic step: this runs inside the application's own calls.

        The SDK looks before it appends: where an export empties the queue in between, nothing is lost and yet counted.
        """
        next(self._overflow[signal])

    def watch(self, signal: Signal, queued: Callable[[], int]) -> None:
        """``queued`` says how many items of ``signal`` wait for their batch."""
        self._queues[signal] = queued

    def queued(self, signal: Signal) -> int:
        """How many items of ``signal`` wait for their batch."""
        return self._queues[signal]() if signal in self._queues else 0

    def items(self) -> dict[Signal, dict[Disposition, int]]:
        """How many items of each signal met each disposition."""
        with self._lock:
            found = {signal: dict(dispositions) for signal, dispositions in self._items.items()}
            for signal, counter in self._overflow.items():
                # Looking at an atomic counter moves it: what the looks added is taken off.
                found[signal]["overflowed"] += next(counter) - self._looks[signal]
                self._looks[signal] += 1
            return found

    def changes(self) -> dict[Change, int]:
        """How many values were truncated or redacted, and batches lost to damage of spool files."""
        with self._lock:
            return dict(self._changes)
