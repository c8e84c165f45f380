"""Empties the spool into the database, and asks for the database while it is away."""

import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from otelgres.collector.queue.availability import Availability
from otelgres.exporters.outcome import Outcome, Unavailable
from otelgres.exporters.postgres.writer import PostgresWriter
from otelgres.exporters.spool.queue import Spooled, SpoolQueue

log = logging.getLogger(__name__)

_DRAIN_BYTES: Final = 1_500_000
# A group that fails so often in a row, at a database that answers, is tried batch by batch.
_GROUP_ATTEMPTS: Final = 3
# Each try may wait for locks.
_PASS_SECONDS: Final = 60.0
_TELL_SECONDS: Final = 5.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0


class DatabaseReplayer:
    """Two threads, from :meth:`start` to :meth:`stop`."""

    def __init__(self, make_store: Callable[[], PostgresWriter], spool: SpoolQueue, availability: Availability) -> None:
        self._make_store = make_store
        self._spool = spool
        self._availability = availability
        self._failures = 0
        self._drained_bytes, self._told_at = 0, time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drainer", daemon=True)
        self._second = make_store()
        self._helper = ThreadPoolExecutor(1, thread_name_prefix="drainer-second")

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Ends after the group that is being drained; what is left stays in the spool."""
        self._stopping.set()
        self._availability.wake()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        store = self._make_store()
        pause = _SHORTEST_PAUSE
        try:
            while not self._stopping.is_set():
                try:
                    moved = self._step(store)
                except Exception:
                    log.exception("draining the spool failed; trying again")
                    store.close()
                    moved = False
                pause = _SHORTEST_PAUSE if moved or self._availability.available else min(pause * 2, _LONGEST_PAUSE)
                if not moved:
                    # Not in step with other receivers: a database that returns must not meet all of them at once.
                    self._availability.wait_for_change(pause * random.uniform(0.5, 1.0))  # noqa: S311
        finally:
            self._helper.shutdown()
            self._second.close()
            store.close()

    def _step(self, store: PostgresWriter) -> bool:
        """Drains one group; returns whether there may be more to do at once."""
        if not self._availability.available:
            if not store.probe():
                return False
            self._availability.mark_available()
            self._drained_bytes, self._told_at = 0, time.monotonic()
        spooled = self._spool.read(2 * _DRAIN_BYTES)
        for loss in self._spool.losses():
            store.record_loss(
                "dropped" if loss.batches else "repaired", "spool", "spool_damaged", loss.batches or 1, loss.detail
            )
            self._spool.forget_loss(loss)
        if not spooled:
            # A rate must not count the time without anything to drain.
            self._drained_bytes, self._told_at = 0, time.monotonic()
            return False
        if self._failures >= _GROUP_ATTEMPTS:
            return self._one_by_one(store, spooled)
        outcomes = self._write(store, spooled)
        through = None
        for item, outcome in zip(spooled, outcomes, strict=True):
            if isinstance(outcome, Unavailable):
                self._availability.mark_unavailable()
                break
            through = item.position
            self._drained_bytes += len(item.batch.payload)
        self._failures = self._failures + 1 if through is None else 0
        if through is not None:
            self._spool.forget(through)
            self._tell()
        return through is not None

    def _write(self, store: PostgresWriter, spooled: Sequence[Spooled]) -> list[Outcome]:
        """Two halves at once, each a transaction: while one waits for PostgreSQL, the other is made rows of."""
        sizes = itertools.accumulate(len(item.batch.payload) for item in spooled)
        middle = sum(size <= _DRAIN_BYTES for size in sizes)
        if not 0 < middle < len(spooled):
            return store.write([item.batch for item in spooled])
        later = self._helper.submit(self._second.write, [item.batch for item in spooled[middle:]])
        # What is stored of the later half while the earlier one failed is recognised when it comes again.
        return store.write([item.batch for item in spooled[:middle]]) + later.result()

    def _one_by_one(self, store: PostgresWriter, spooled: Sequence[Spooled]) -> bool:
        """Takes what can be taken. What fails while a later batch is stored is at fault itself, and is quarantined."""
        stuck: list[Spooled] = []
        deadline = time.monotonic() + _PASS_SECONDS
        moved = False
        for item in spooled:
            if self._stopping.is_set():
                break
            if isinstance(store.write([item.batch])[0], Unavailable):
                stuck.append(item)
                if not store.probe() or time.monotonic() >= deadline:
                    break
                continue
            if not all(self._settle(store, one) for one in stuck):
                break
            stuck.clear()
            self._spool.forget(item.position)
            self._drained_bytes += len(item.batch.payload)
            moved = True
        self._failures = 0
        if not moved:
            self._availability.mark_unavailable()
        return moved

    def _settle(self, store: PostgresWriter, item: Spooled) -> bool:
        """Stores it now that a neighbour was stored, or sets it aside; False when the database went away meanwhile."""
        for _ in range(_GROUP_ATTEMPTS):
            # It may have failed for a restart between it and its neighbour, which is no fault of its own.
            if not isinstance(store.write([item.batch])[0], Unavailable):
                self._spool.forget(item.position)
                return True
            if self._stopping.is_set() or not store.probe():
                return False
        self._quarantine(store, item)
        return True

    def _quarantine(self, store: PostgresWriter, item: Spooled) -> None:
        path = self._spool.quarantine(item)
        log.error(
            "a spooled batch of %s fails while others are stored: it is kept in %s", item.batch.signal.value, path
        )
        sample = f"{len(item.batch.payload)} bytes, kept in {path.parent.name}/{path.name}"
        store.record_loss("dropped", item.batch.signal, "spool_quarantined", 1, sample)
        # Before anything else can fail: entered once.
        self._spool.forget(item.position)

    def _tell(self) -> None:
        seconds = time.monotonic() - self._told_at
        if seconds >= _TELL_SECONDS:
            rate = self._drained_bytes / seconds
            # Files are deleted whole, so that what is left is an upper bound.
            left = self._spool.bytes
            log.warning(
                "draining the spool: at most %s bytes left, %s bytes/s, %.0f s",
                f"{left:,}",
                f"{rate:,.0f}",
                left / rate if rate else 0.0,
            )
            self._drained_bytes, self._told_at = 0, time.monotonic()
