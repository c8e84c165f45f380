"""The store with a spool under it: what the database cannot take now is kept on disk, and drained when it can.

Writers share one :class:`Availability`. While the database is away they go straight to the spool, and only the replayer
knocks, so that an outage costs each request an fsync and not a connection timeout. Refuses to know transports.
"""

import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from otelgres.collector.queue.sqlite_spool import Spool, SpoolDamage, Spooled, SpoolFull
from otelgres.exporters.batch import Batch
from otelgres.exporters.outcome import Accepted, Outcome, Unavailable
from otelgres.exporters.postgres.writer import PostgresWriter

log = logging.getLogger(__name__)

_REPLAY_BYTES: Final = 1_500_000
# A group that fails so often in a row, at a database that answers, is tried batch by batch.
_GROUP_ATTEMPTS: Final = 3
# Each try may wait for locks.
_PASS_SECONDS: Final = 60.0
_LOG_SECONDS: Final = 5.0
_FULL_RETRY_AFTER: Final = 2.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0


class Availability:
    """Whether the database takes writes, as last seen. Starts as "away": the replayer finds out."""

    def __init__(self) -> None:
        self._available = threading.Event()
        self._was_unavailable = False
        self._changed_event = threading.Event()

    @property
    def available(self) -> bool:
        """Whether writers should try the database."""
        return self._available.is_set()

    def mark_available(self) -> None:
        """The database took something."""
        if not self._available.is_set():
            if self._was_unavailable:
                log.warning("the database is back")
            self._available.set()

    def mark_unavailable(self) -> None:
        """The database could not take something: the replayer starts knocking."""
        if self._available.is_set():
            self._was_unavailable = True
            log.warning("the database is away: what arrives is kept in the spool until it is back")
        self._available.clear()
        self._changed_event.set()

    def wake(self) -> None:
        """There is something for the replayer to do."""
        self._changed_event.set()

    def wait_for_change(self, seconds: float) -> None:
        """Returns after this time, or at once when something happened since the last call."""
        self._changed_event.wait(seconds)
        self._changed_event.clear()


class SpoolingWriter:
    """Writes to the database, and to the spool what the database cannot take. One thread's."""

    def __init__(self, store: PostgresWriter, spool: Spool, availability: Availability) -> None:
        self._store = store
        self._spool = spool
        self._availability = availability

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Answers for each batch in order; accepted means committed, or fsynced in the spool."""
        if not self._availability.available:
            return self._keep(batches)
        outcomes = self._store.write(batches)
        away = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, Unavailable)]
        if away:
            self._availability.mark_unavailable()
            for place, outcome in zip(away, self._keep([batches[place] for place in away]), strict=True):
                outcomes[place] = outcome
        return outcomes

    def close(self) -> None:
        """Closes the connection."""
        self._store.close()

    def _keep(self, batches: Sequence[Batch]) -> list[Outcome]:
        # The sender's answer must be the one that the database would have led to: what is malformed is refused now. It
        # is kept all the same: when it is drained, the ledger gets its row.
        outcomes: list[Outcome] = [self._store.check(batch) for batch in batches]
        try:
            self._spool.append([batch for batch in batches if batch.payload])
        except SpoolFull as full:
            log.warning("%s; senders are asked to retry", full)
            away = Unavailable(_FULL_RETRY_AFTER, "the database is away and the spool is full; send it again")
            return [away if isinstance(outcome, Accepted) else outcome for outcome in outcomes]
        self._availability.wake()
        return outcomes


class DatabaseReplayer:
    """Knocks at the database while it is away, and empties the spool into it when it is there. Two threads."""

    def __init__(self, make_store: Callable[[], PostgresWriter], spool: Spool, availability: Availability) -> None:
        self._make_store = make_store
        self._spool = spool
        self._availability = availability
        self._damage: list[SpoolDamage] = []
        self._failures = 0
        self._replayed_bytes, self._reported_at = 0, time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replayer", daemon=True)
        self._second = make_store()
        self._helper = ThreadPoolExecutor(1, thread_name_prefix="replayer-second")

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
            self._replayed_bytes, self._reported_at = 0, time.monotonic()
        spooled = self._spool.read(2 * _REPLAY_BYTES)
        # Kept until the ledger has it: the database may go away between the two.
        self._damage += self._spool.take_damage()
        while self._damage:
            lost, detail = self._damage[0]
            effect, reason = ("dropped", "spool_damaged") if lost else ("repaired", "spool_salvaged")
            store.record_loss(effect, "spool", reason, lost or 1, detail)
            del self._damage[0]
        if not spooled:
            # A rate must not count the time without anything to drain.
            self._replayed_bytes, self._reported_at = 0, time.monotonic()
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
            self._replayed_bytes += len(item.batch.payload)
        self._failures = self._failures + 1 if through is None else 0
        if through is not None:
            self._spool.forget(through)
            self._log_progress()
        return through is not None

    def _write(self, store: PostgresWriter, spooled: Sequence[Spooled]) -> list[Outcome]:
        """Two halves at once, each a transaction: while one waits for PostgreSQL, the other is made rows of."""
        sizes = itertools.accumulate(len(item.batch.payload) for item in spooled)
        middle = sum(size <= _REPLAY_BYTES for size in sizes)
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
            self._replayed_bytes += len(item.batch.payload)
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
        self._spool.quarantine(item)
        log.error("a spooled batch of %s fails while others are stored: it is quarantined", item.batch.signal.value)
        sample = f"{len(item.batch.payload)} bytes, kept in the spool's folder aside"
        store.record_loss("dropped", item.batch.signal, "spool_quarantined", 1, sample)
        # Before anything else can fail: entered once.
        self._spool.forget(item.position)

    def _log_progress(self) -> None:
        seconds = time.monotonic() - self._reported_at
        if seconds >= _LOG_SECONDS:
            rate = self._replayed_bytes / seconds
            # Segments are deleted whole, so that what is left is an upper bound.
            left = self._spool.bytes
            log.warning(
                "draining the spool: at most %s bytes left, %s bytes/s, %.0f s",
                f"{left:,}",
                f"{rate:,.0f}",
                left / rate if rate else 0.0,
            )
            self._replayed_bytes, self._reported_at = 0, time.monotonic()
