"""The store with a spool under it: what the database cannot take now is kept on disk, and drained when it can.

Writers share one :class:`Availability`. While the database is away they go straight to the spool, and only the drainer
knocks, so that an outage costs each request an fsync and not a connection timeout. Refuses to know transports.
"""

import logging
import random
import threading
from collections.abc import Callable, Sequence
from typing import Final

from collector.spool import Damage, Spool, SpoolFull
from exporters.batch import Batch
from exporters.outcome import Accepted, Outcome, Unavailable
from exporters.postgres.writer import PostgresWriter

log = logging.getLogger(__name__)

_DRAIN_BYTES: Final = 1_500_000
_FULL_RETRY_AFTER: Final = 2.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0


class Availability:
    """Whether the database takes writes, as last seen. Starts as "away": the drainer finds out."""

    def __init__(self) -> None:
        self._here = threading.Event()
        self._was_lost = False
        self._news = threading.Event()

    @property
    def here(self) -> bool:
        """Whether writers should try the database."""
        return self._here.is_set()

    def found(self) -> None:
        """The database took something."""
        if not self._here.is_set():
            if self._was_lost:
                log.warning("the database is back")
            self._here.set()

    def lost(self) -> None:
        """The database could not take something: the drainer starts knocking."""
        if self._here.is_set():
            self._was_lost = True
            log.warning("the database is away: what arrives is kept in the spool until it is back")
        self._here.clear()
        self._news.set()

    def wake(self) -> None:
        """There is something for the drainer to do."""
        self._news.set()

    def wait_for_news(self, seconds: float) -> None:
        """Returns after this time, or at once when something happened since the last call."""
        self._news.wait(seconds)
        self._news.clear()


class SpoolingWriter:
    """Writes to the database, and to the spool what the database cannot take. One thread's."""

    def __init__(self, store: PostgresWriter, spool: Spool, availability: Availability) -> None:
        self._store = store
        self._spool = spool
        self._availability = availability

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Answers for each batch in order; accepted means committed, or fsynced in the spool."""
        if not self._availability.here:
            return self._keep(batches)
        outcomes = self._store.write(batches)
        away = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, Unavailable)]
        if away:
            self._availability.lost()
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
            log.warning("%s; senders are asked to come back", full)
            away = Unavailable(_FULL_RETRY_AFTER, "the database is away and the spool is full; send it again")
            return [away if isinstance(outcome, Accepted) else outcome for outcome in outcomes]
        self._availability.wake()
        return outcomes


class Drainer:
    """Knocks at the database while it is away, and empties the spool into it when it is there. One thread."""

    def __init__(self, make_store: Callable[[], PostgresWriter], spool: Spool, availability: Availability) -> None:
        self._make_store = make_store
        self._spool = spool
        self._availability = availability
        self._damage: list[Damage] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drainer", daemon=True)

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
                pause = _SHORTEST_PAUSE if moved or self._availability.here else min(pause * 2, _LONGEST_PAUSE)
                if not moved:
                    # Not in step with other receivers: a database that returns must not meet all of them at once.
                    self._availability.wait_for_news(pause * random.uniform(0.5, 1.0))  # noqa: S311
        finally:
            store.close()

    def _step(self, store: PostgresWriter) -> bool:
        """Drains one group; returns whether there may be more to do at once."""
        if not self._availability.here:
            if not store.probe():
                return False
            self._availability.found()
        spooled = self._spool.read(_DRAIN_BYTES)
        # Kept until the ledger has it: the database may go away between the two.
        self._damage += self._spool.take_damage()
        if self._damage:
            count = sum(item.batches for item in self._damage)
            store.record_loss("dropped", "spool", "spool_damaged", count, _told(self._damage))
            self._damage = []
        if not spooled:
            return False
        outcomes = store.write([item.batch for item in spooled])
        through = None
        for item, outcome in zip(spooled, outcomes, strict=True):
            if isinstance(outcome, Unavailable):
                self._availability.lost()
                break
            through = item.position
        if through is not None:
            self._spool.forget(through)
        return through is not None


def _told(damage: Sequence[Damage]) -> str:
    return "; ".join(item.detail for item in damage[:5])
