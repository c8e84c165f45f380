"""Replays the spool into the database, and probes the database while it is unavailable."""

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
from otelgres.exporters.plural import counted
from otelgres.exporters.postgres.writer import PostgresWriter
from otelgres.exporters.spool.queue import Spooled, SpoolQueue

log = logging.getLogger(__name__)

_GROUP_BYTES: Final = 1_500_000
# After so many failures in a row at an available database, batches are written one by one.
_GROUP_ATTEMPTS: Final = 3
# Each attempt may wait for locks.
_PASS_SECONDS: Final = 60.0
_LOG_SECONDS: Final = 5.0
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
        """Starts replaying."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Ends after the current group, waiting at most ``seconds``; the rest stays in the spool."""
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
                    log.exception("replaying the spool failed; retrying")
                    store.close()
                    moved = False
                pause = _SHORTEST_PAUSE if moved or self._availability.available else min(pause * 2, _LONGEST_PAUSE)
                if not moved:
                    # Random, so that several receivers do not all connect at once after an outage.
                    self._availability.wait_for_change(pause * random.uniform(0.5, 1.0))  # noqa: S311
        finally:
            self._helper.shutdown()
            self._second.close()
            store.close()

    def _step(self, store: PostgresWriter) -> bool:
        """Replays one group; returns whether there may be more."""
        if not self._availability.available:
            if not store.probe():
                return False
            self._availability.mark_available()
            self._drained_bytes, self._told_at = 0, time.monotonic()
        spooled = self._spool.read(2 * _GROUP_BYTES)
        for loss in self._spool.losses():
            store.record_loss(
                "dropped" if loss.batches else "repaired", "spool", "spool_damaged", loss.batches or 1, loss.detail
            )
            self._spool.forget_loss(loss)
        if not spooled:
            # The rate must not include idle time.
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
            self._log_progress()
        return through is not None

    def _write(self, store: PostgresWriter, spooled: Sequence[Spooled]) -> list[Outcome]:
        """Writes two halves in parallel, each in a transaction: one is encoded while the other waits for PostgreSQL."""
        sizes = itertools.accumulate(len(item.batch.payload) for item in spooled)
        middle = sum(size <= _GROUP_BYTES for size in sizes)
        if not 0 < middle < len(spooled):
            return store.write([item.batch for item in spooled])
        later = self._helper.submit(self._second.write, [item.batch for item in spooled[middle:]])
        # If only the second half is stored, it is recognised as a duplicate when it is replayed again.
        return store.write([item.batch for item in spooled[:middle]]) + later.result()

    def _one_by_one(self, store: PostgresWriter, spooled: Sequence[Spooled]) -> bool:
        """Writes batches one by one; a batch that fails while a later one is stored is quarantined."""
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
        """Retries a failed batch, then quarantines it; False if the database has become unavailable."""
        for _ in range(_GROUP_ATTEMPTS):
            # The first attempt may have failed because of a restart of the server.
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
            "a spooled batch of %s cannot be stored while others can: moved to quarantine, %s",
            item.batch.signal.value,
            path,
        )
        sample = f"{counted(len(item.batch.payload), 'byte')}, kept in {path.parent.name}/{path.name}"
        store.record_loss("dropped", item.batch.signal, "spool_quarantined", 1, sample)
        # Directly after record_loss, so that the loss is recorded once.
        self._spool.forget(item.position)

    def _log_progress(self) -> None:
        seconds = time.monotonic() - self._told_at
        if seconds >= _LOG_SECONDS:
            rate = self._drained_bytes / seconds
            # Files are deleted as a whole, so this is an upper bound.
            left = self._spool.bytes
            log.warning(
                "replaying the spool: at most %s bytes left, %s bytes/s, %.0f s",
                f"{left:,}",
                f"{rate:,.0f}",
                left / rate if rate else 0.0,
            )
            self._drained_bytes, self._told_at = 0, time.monotonic()
