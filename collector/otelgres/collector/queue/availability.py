"""Whether the database is there, and the writer that keeps in the spool what the database cannot take now.

Writers share one :class:`Availability`. While the database is away they go straight to the spool, and only the replayer
asks for it, so that an outage costs each request an fsync and not a connection timeout.
"""

import logging
import threading
from collections.abc import Sequence
from typing import Final

from otelgres.exporters.batch import Batch
from otelgres.exporters.outcome import Accepted, Outcome, Unavailable
from otelgres.exporters.postgres.writer import PostgresWriter
from otelgres.exporters.spool.queue import SpoolFull, SpoolQueue

log = logging.getLogger(__name__)

_FULL_RETRY_AFTER: Final = 2.0


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
        """The database could not take something: the replayer starts to ask for it."""
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

    def __init__(self, store: PostgresWriter, spool: SpoolQueue, availability: Availability) -> None:
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
