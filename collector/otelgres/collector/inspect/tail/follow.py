"""Follows committed rows: waits for NOTIFY, then reads the rows that were not visible at the last read.

The cursor is a PostgreSQL snapshot, not a time or a number: transactions do not become visible in the order in which
they began, and a row is new exactly if the transaction that wrote it was not visible in the last snapshot. The
cursor stays valid across connections and restarts of the server.
"""

import datetime
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, LiteralString, TypeAlias

import psycopg
from psycopg.rows import dict_row

from otelgres.collector.database.notify import CHANNEL
from otelgres.sql.queries import query

Row: TypeAlias = dict[str, Any]

# Without a notification: a receiver died right after a commit, is older, or a connection pooler drops LISTEN.
_POLL_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
# The maximum age of a transaction that a read did not see. With other transactions running: the limit of a writer's
# transaction (its statement_timeout of 60 s, more than once). With none: the time from BEGIN to its first row.
_LOOK_BACK: Final = datetime.timedelta(seconds=180)
_LOOK_BACK_ALONE: Final = datetime.timedelta(seconds=30)
# A read whose rows are not consumed must not block the database's VACUUM for ever.
_SESSION: Final = "SELECT set_config('statement_timeout', '60s', false), set_config('timezone', 'UTC', false)"
# A snapshot in which nothing is visible: every row is new.
_BEFORE_ALL: Final = "1:1:"


class TailFollower:
    """Follows the rows of query ``name`` (``tail_logs``, …); ``lost`` is called with the reason of a lost connection.

    Not thread-safe.
    """

    def __init__(
        self,
        dsn: str,
        name: LiteralString,
        filters: Mapping[str, Any],
        lost: Callable[[str], None],
        wait: Callable[[float], None],
    ) -> None:
        self._dsn = dsn
        self._query = query(name)
        self._filters = dict(filters)
        self._lost = lost
        self._wait = wait
        self._seen: str | None = None
        self._since: datetime.datetime | None = None
        # Ids of rows that a read has yielded before it was interrupted.
        self._yielded: set[str] = set()

    @property
    def following(self) -> bool:
        """Whether it has started: rows committed from now on will be yielded."""
        return self._seen is not None

    def rows(self, since: datetime.timedelta | None = None) -> Iterator[Row]:
        """Yields rows for ever, starting with those received within ``since``, or with new ones.

        Raises psycopg.Error for errors that a retry does not help: a missing function or privilege.
        """
        failed = 0
        while True:
            try:
                with self._connected() as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    if self._seen is None:
                        self._start(connection, since)
                    while True:
                        yield from self._read_new(connection)
                        failed = 0
                        # Returns at the first notification or the timeout.
                        for _ in connection.notifies(timeout=_POLL_SECONDS, stop_after=1):
                            pass
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if self._seen is None:
                    raise
                self._lost(str(error).strip().splitlines()[0])
                self._wait(_RETRY_SECONDS[min(failed, len(_RETRY_SECONDS) - 1)])
                failed += 1

    def _connected(self) -> psycopg.Connection[Row]:
        connection = psycopg.connect(
            self._dsn, autocommit=True, connect_timeout=5, application_name="otelgres tail", row_factory=dict_row
        )
        with suppress(psycopg.errors.InFailedSqlTransaction):
            connection.execute(_SESSION)
        return connection

    def _start(self, connection: psycopg.Connection[Row], since: datetime.timedelta | None) -> None:
        at, seen, _ = self._moment(connection)
        self._seen, self._since = (seen, at - _LOOK_BACK) if since is None else (_BEFORE_ALL, at - since)

    def _read_new(self, connection: psycopg.Connection[Row]) -> Iterator[Row]:
        with connection.transaction():
            # One snapshot for the rows and for the cursor of the next read.
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            at, seen, alone = self._moment(connection)
            with connection.cursor() as cursor:
                for row in cursor.stream(self._query, {**self._filters, "seen": self._seen, "since": self._since}):
                    if (row_id := row.pop("row_id")) not in self._yielded:
                        yield row
                        self._yielded.add(row_id)
        self._seen = seen
        self._since = at - (_LOOK_BACK_ALONE if alone else _LOOK_BACK)
        self._yielded.clear()

    @staticmethod
    def _moment(connection: psycopg.Connection[Row]) -> tuple[datetime.datetime, str, bool]:
        row = connection.execute(query("tail_snapshot")).fetchone()
        assert row is not None
        return row["at"], row["seen"], row["alone"]
