"""Creates day and week partitions before the rows that need them are written, and drops expired ones."""

import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from otelgres.exporters.postgres.codec.rows import NS_PER_DAY, Bounds

# The trigger on spans writes to these tables, which need a partition of the same day.
_ROLLUPS: Final = {"spans": ("flow_parts", "span_stats")}
_SECONDS_PER_DAY: Final = 86_400


class Partitions:
    """Remembers which partitions exist, for one connection."""

    def __init__(self, past_days: int, future_days: int) -> None:
        self._past_days = past_days
        self._future_days = future_days
        self._made: set[tuple[str, int]] = set()

    def bounds(self) -> Bounds:
        """The range of times that get a partition of their day, as of now."""
        now = time.time_ns()
        today = now // NS_PER_DAY
        return Bounds((today - self._past_days) * NS_PER_DAY, (today + self._future_days + 1) * NS_PER_DAY, now)

    def forget(self) -> None:
        """Forgets all partitions, because some may have been dropped."""
        self._made.clear()

    def ensure(self, connection: psycopg.Connection[Any], days: dict[str, set[int]]) -> None:
        """Creates the missing partitions of these days (counted from 1970-01-01), by table."""
        for table, wanted in days.items():
            for day in wanted:
                for name in (table, *_ROLLUPS.get(table, ())):
                    if (name, day) not in self._made:
                        at = datetime.fromtimestamp(day * _SECONDS_PER_DAY, UTC)
                        # Two sessions may both find it missing; the second one gets DuplicateTable.
                        with suppress(psycopg.errors.DuplicateTable):
                            connection.execute("SELECT _otel.make_partition(%s, %s)", (name, at))
                        self._made.add((name, day))

    def ensure_ahead(self, connection: psycopg.Connection[Any], tables: Iterable[str], days: int) -> None:
        """Creates the partitions of today and the next ``days``, so that none is missing at midnight."""
        today = int(time.time()) // _SECONDS_PER_DAY
        self.ensure(connection, {table: set(range(today, today + days + 1)) for table in tables})


def drop_expired(connection: psycopg.Connection[Any]) -> list[str]:
    """Drops the partitions beyond the owner's retention; returns the tables that are in use and must be tried again.

    ``connection`` must be in autocommit mode. A table in use delays those who write to it by 0.3 s; the other tables
    are done all the same. Raises ``psycopg.Error``.
    """
    used: list[str] = []
    for (table,) in connection.execute("SELECT name FROM _otel.partitioned ORDER BY name").fetchall():
        try:
            connection.execute("SELECT _otel.drop_expired(%s)", (table,))
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            used.append(table)
    return used
