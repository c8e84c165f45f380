"""Follows what is committed: waits for NOTIFY, then reads exactly the rows that the last look could not see.

The cursor is a snapshot of PostgreSQL's, not a time or a number: transactions become visible in another order than they
began in, and a row is new if and only if the snapshot of the last look did not show the transaction that wrote it. It
outlives connections and restarts of the server. Refuses to know what is done with the rows.
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

# Nobody announced: a receiver of an older version, one that died right after a commit, a pooler that swallows LISTEN.
_LOOK_ANYWAY_SECONDS: Final = 2.0
_AGAIN_SECONDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
# How long before a look a transaction may have begun that it could not see. With others at work: what bounds a writer's
# transaction (its statement_timeout of 60 s, more than once). With none: between its BEGIN and its first row.
_LOOK_BACK: Final = datetime.timedelta(seconds=180)
_LOOK_BACK_ALONE: Final = datetime.timedelta(seconds=30)
# A look of which nobody takes the rows must not hold up the database's housekeeping for ever.
_SESSION: Final = "SELECT set_config('statement_timeout', '60s', false), set_config('timezone', 'UTC', false)"
# Sees nothing: with it, everything since a time is new.
_BEFORE_ALL: Final = "1:1:"


class TailFollower:
    """Rows of ``name`` (``tail_logs``, …) as they are committed; ``lost`` is told why each lost connection ended.

    Not for use by several threads.
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
        # Of a look that did not come to its end: what it has given out already.
        self._given: set[str] = set()

    @property
    def following(self) -> bool:
        """Whether it has begun: what is committed from now on will be told."""
        return self._seen is not None

    def rows(self, since: datetime.timedelta | None = None) -> Iterator[Row]:
        """Rows without end, beginning with those received in the time ``since``, or from now on.

        Raises psycopg.Error where waiting will not help: no such function, no right to call it.
        """
        failed = 0
        while True:
            try:
                with self._connected() as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    if self._seen is None:
                        self._start(connection, since)
                    while True:
                        yield from self._look(connection)
                        failed = 0
                        # Returns at the first announcement, or at none.
                        for _ in connection.notifies(timeout=_LOOK_ANYWAY_SECONDS, stop_after=1):
                            pass
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if self._seen is None:
                    raise
                self._lost(str(error).strip().splitlines()[0])
                self._wait(_AGAIN_SECONDS[min(failed, len(_AGAIN_SECONDS) - 1)])
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

    def _look(self, connection: psycopg.Connection[Row]) -> Iterator[Row]:
        with connection.transaction():
            # One snapshot for both: what these rows come from is what the next look starts from.
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            at, seen, alone = self._moment(connection)
            with connection.cursor() as cursor:
                for row in cursor.stream(self._query, {**self._filters, "seen": self._seen, "since": self._since}):
                    if (row_id := row.pop("row_id")) not in self._given:
                        yield row
                        self._given.add(row_id)
        self._seen = seen
        self._since = at - (_LOOK_BACK_ALONE if alone else _LOOK_BACK)
        self._given.clear()

    @staticmethod
    def _moment(connection: psycopg.Connection[Row]) -> tuple[datetime.datetime, str, bool]:
        row = connection.execute(query("tail_snapshot")).fetchone()
        assert row is not None
        return row["at"], row["seen"], row["alone"]
