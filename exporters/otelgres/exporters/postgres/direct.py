"""An exporter that writes batches directly to PostgreSQL, without a receiver, using the receiver's writer.

Before the first batch it creates or upgrades the schema, if that is necessary and the role has the rights.
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
from otelgres.sql.logins import refuse_superuser
from otelgres.sql.migrate import SchemaError, migrate

_RETRY_AFTER: Final = 1.0
# Several connections of one process may find the schema missing at the same time.
_migrating = threading.Lock()


class PostgresExporter(BackgroundExporter):
    """Writes to ``database``. For one thread at a time, except ``abort``. After a fork, create a new one."""

    def __init__(self, database: Database, signals: Iterable[Signal]) -> None:
        timeout = database.timeout + database.connect_timeout

        def connect(_: Signal) -> Transport:
            return _Direct(database.dsn)

        super().__init__("database", dict.fromkeys(signals, timeout), connect)


class _Direct(Transport):
    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._writer = PostgresWriter(dsn)
        self._prepared = False
        self._schema_problem = ""

    def send(self, batch: Batch) -> Outcome:
        if not self._prepared:
            try:
                self._schema_problem = prepare(self._dsn)
            except psycopg.Error as error:
                return Unavailable(_RETRY_AFTER, f"{advice(error)} ({str(error).strip().partition(chr(10))[0]})")
            self._prepared = True
        outcome = self._writer.write([batch])[0]
        if isinstance(outcome, Unavailable):
            # When it is available again, it may be another database or have been migrated.
            self._prepared = False
            return Unavailable(outcome.retry_after, self._writer.problem or self._schema_problem or outcome.message)
        return outcome

    def close(self) -> None:
        self._writer.close()


def prepare(dsn: str) -> str:
    """Creates or upgrades the schema if necessary. Returns why it could not, or "". Raises ``psycopg.Error``.

    LoginRefused, which is one of these, for a superuser's DSN.
    """
    with _migrating:
        with psycopg.connect(dsn, autocommit=True) as connection:
            refuse_superuser(connection)
        try:
            migrate(dsn)
        except SchemaError as error:
            # A somewhat older or newer schema may still accept the rows.
            return str(error)
    return ""
