"""Asks the database whether writers could store now, over one connection that stays open between questions."""

import threading
from enum import Enum
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from otelgres.exporters.postgres.codec.decode import COLUMNS
from otelgres.sql.logins import refuse_superuser

# On these writers have rights themselves; the tables of the roll-ups are their owner's.
_TABLES: Final = (*COLUMNS, "digests", "losses")
# A writer waits for a lock for at most 10 s and a client not much longer for its answer; this is on top of it.
_SETTINGS: Final = (
    "SELECT set_config('lock_timeout', '1s', false), set_config('statement_timeout', '2s', false), "
    "set_config('idle_in_transaction_session_timeout', '10s', false)"
)
# What a COPY takes, without its rows. The partitions are left out: there are hundreds.
_LOCK: Final = sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(
    sql.SQL(", ").join(sql.SQL("ONLY {}").format(sql.Identifier("_otel", table)) for table in _TABLES)
)
_SESSION: Final = {
    "application_name": "otelgres readiness",
    "connect_timeout": "2",
    # A server that disappears is detected by TCP.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "2",
    "tcp_user_timeout": "5000",
}


class DatabaseState(Enum):
    """What the database has answered."""

    WRITABLE = "writable"
    # Somebody holds a lock on a table that writers need.
    LOCKED = "locked"
    UNAVAILABLE = "unavailable"


class DatabaseProbe:
    """``check`` and ``close`` may be called by any thread."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None

    def check(self) -> DatabaseState:
        """Takes at most about 2 seconds for each address of the server and 3 for the answer. Never raises."""
        with self._lock:
            try:
                connection = self._connected()
                with connection.transaction(force_rollback=True):
                    row = connection.execute(
                        "SELECT current_setting('transaction_read_only'), id FROM _otel.identity"
                    ).fetchone()
                    if row is None or row[0] == "on":
                        return DatabaseState.UNAVAILABLE
                    connection.execute(_LOCK)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
                return DatabaseState.LOCKED
            except psycopg.Error:
                self._disconnect()
                return DatabaseState.UNAVAILABLE
            return DatabaseState.WRITABLE

    def close(self) -> None:
        """Closes the connection, unless another thread uses it."""
        if self._lock.acquire(blocking=False):
            self._disconnect()
            self._lock.release()

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(make_conninfo(self._dsn, **_SESSION), autocommit=True)
            refuse_superuser(self._connection)
            self._connection.execute(_SETTINGS)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
