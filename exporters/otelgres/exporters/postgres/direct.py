"""A process that stores its own telemetry: batches straight into PostgreSQL, with no receiver between.

The same writer as the receiver's, so the same rows. The schema is made before the first batch, if it is not there and
the role may. Refuses to know who made the batches and what happens to one that was not taken.
"""

import threading
from collections.abc import Iterable
from typing import Final

import psycopg

from otelgres.exporters.background import BackgroundExporter, Transport
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Outcome, Unavailable
from otelgres.exporters.postgres.errors import advice
from otelgres.exporters.postgres.writer import PostgresWriter
from otelgres.exporters.target import Database
from otelgres.sql.migrate import SchemaError, migrate

_RETRY_AFTER: Final = 1.0
# Several connections of one process find the same schema missing at the same moment.
_migrating = threading.Lock()


class PostgresExporter(BackgroundExporter):
    """Stores into ``database``. For one thread at a time, except ``cut``. After a fork, make a new one."""

    def __init__(self, database: Database, signals: Iterable[Signal]) -> None:
        timeout = database.timeout + database.connect_timeout

        def connect(_: Signal) -> Transport:
            return _Direct(database.dsn)

        super().__init__("database", dict.fromkeys(signals, timeout), connect)


class _Direct:
    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._writer = PostgresWriter(dsn)
        self._prepared = False
        self._unprepared = ""

    def send(self, batch: Batch) -> Outcome:
        if not self._prepared:
            try:
                self._unprepared = prepare(self._dsn)
            except psycopg.Error as error:
                return Unavailable(_RETRY_AFTER, f"{advice(error)} ({str(error).strip().partition(chr(10))[0]})")
            self._prepared = True
        outcome = self._writer.write([batch])[0]
        if isinstance(outcome, Unavailable):
            # Whoever was away may come back as another, or be migrated meanwhile.
            self._prepared = False
            return Unavailable(outcome.retry_after, self._writer.problem or self._unprepared or outcome.message)
        return outcome

    def close(self) -> None:
        self._writer.close()


def prepare(dsn: str) -> str:
    """Makes or upgrades the schema where it must be and may; else why that was not done. Raises ``psycopg.Error``."""
    with _migrating:
        try:
            migrate(dsn)
        except SchemaError as error:
            # Rows may be taken all the same, by a schema somewhat older or newer.
            return str(error)
    return ""
