"""Whether the database is available, and a writer that uses the spool while it is not.

Writers share one :class:`Availability`. During an outage they write to the spool at once and only the replayer probes
the database, so that a request costs an fsync and not a connection timeout.
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
    """Whether the database accepted the last write. Initially unavailable, until it is marked available."""

    def __init__(self) -> None:
        self._available = threading.Event()
        self._was_unavailable = False
        self._changed_event = threading.Event()

    @property
    def available(self) -> bool:
        """Whether writers should use the database."""
        return self._available.is_set()

    def mark_available(self) -> None:
        """The database has accepted a write."""
        if not self._available.is_set():
            if self._was_unavailable:
                log.warning("the database is available again")
            self._available.set()

    def mark_unavailable(self) -> None:
        """The database was unavailable for a write: the replayer starts to probe it."""
        if self._available.is_set():
            self._was_unavailable = True
            log.warning("the database is unavailable: incoming batches are written to the spool until it is back")
        self._available.clear()
        self._changed_event.set()

    def wake(self) -> None:
        """Wakes the replayer."""
        self._changed_event.set()

    def wait_for_change(self, seconds: float) -> None:
        """Waits at most ``seconds``; returns at once after a change since the last call."""
        self._changed_event.wait(seconds)
        self._changed_event.clear()


class SpoolingWriter:
    """Writes to the database, or to the spool while it is unavailable. For one thread."""

    def __init__(self, store: PostgresWriter, spool: SpoolQueue, availability: Availability) -> None:
        self._store = store
        self._spool = spool
        self._availability = availability

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """The outcome of each batch, in order; accepted means committed, or fsynced in the spool."""
        if not self._availability.available:
            return self._spool_batches(batches)
        outcomes = self._store.write(batches)
        failed = [index for index, outcome in enumerate(outcomes) if isinstance(outcome, Unavailable)]
        if failed:
            self._availability.mark_unavailable()
            spooled = self._spool_batches([batches[index] for index in failed])
            for index, outcome in zip(failed, spooled, strict=True):
                outcomes[index] = outcome
        return outcomes

    def close(self) -> None:
        """Closes the connection."""
        self._store.close()

    def _spool_batches(self, batches: Sequence[Batch]) -> list[Outcome]:
        # The client must get the same outcome as with the database: malformed batches are rejected now. They are
        # spooled too: when they are replayed, the loss is recorded in otel.losses.
        outcomes: list[Outcome] = [self._store.check(batch) for batch in batches]
        try:
            self._spool.append([batch for batch in batches if batch.payload])
        except SpoolFull as full:
            log.warning("%s; clients are told to retry", full)
            unavailable = Unavailable(_FULL_RETRY_AFTER, "the database is unavailable and the spool is full; retry")
            return [unavailable if isinstance(outcome, Accepted) else outcome for outcome in outcomes]
        self._availability.wake()
        return outcomes
