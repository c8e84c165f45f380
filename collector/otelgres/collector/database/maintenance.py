"""The database kept fit for receiving: its schema brought to this version, partitions made ahead and dropped behind.

Refuses to know what is received.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import psycopg

from otelgres.collector.service.settings import ReceiverSettings
from otelgres.exporters.postgres.codec.decode import COLUMNS
from otelgres.exporters.postgres.partitions import Partitions
from otelgres.sql.migrate import SchemaError, migrate
from otelgres.sql.queries import query

log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 1.0
_EVERY_SECONDS: Final = 600.0
_DAYS_AHEAD: Final = 2
_AHEAD: Final = (*COLUMNS, "digests", "losses")
_ROLLUPS: Final = ("flow_parts", "span_stats", "service_stats", "hour_stats", "losses")
# A batch is re-sent hours later, not weeks; past this, spans and points still have their keys.
_DIGEST_DAYS: Final = 7


class Maintenance:
    """Looks after one database until cancelled; ``when_known`` is called in the loop once the schema is there."""

    def __init__(self, settings: ReceiverSettings, dsn: str, when_known: Callable[[], None]) -> None:
        self._settings = settings
        self._dsn = dsn
        self._when_known = when_known
        self.schema_known = asyncio.Event()

    async def run(self) -> None:
        """Prepares the database as soon as it lets us, then keeps it fit. That it is away is no reason to end."""
        told = ""
        while not self.schema_known.is_set():
            try:
                await asyncio.to_thread(migrate, self._dsn, log.info)
                await asyncio.to_thread(self._maintain)
            except (psycopg.Error, SchemaError) as error:
                if str(error) != told:
                    told = str(error)
                    log.warning("the database is not ready: %s", told.strip())
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self.schema_known.set()
                self._when_known()
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                await asyncio.to_thread(self._maintain)
                await asyncio.to_thread(self._refresh_open_starts)
                await asyncio.to_thread(self._roll_up_hours)
            except psycopg.Error as error:
                log.warning("the database could not be tended: %s; trying again later", str(error).strip())

    async def ready(self) -> tuple[bool, dict[str, object]]:
        """For ``/readyz``: whether the database is reachable and its schema known."""
        try:
            await asyncio.to_thread(self._reach)
        except psycopg.Error as error:
            return False, {"database": "away", "reason": type(error).__name__, "schema": self.schema_known.is_set()}
        return self.schema_known.is_set(), {"database": "reachable", "schema": self.schema_known.is_set()}

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._dsn, autocommit=True, connect_timeout=2)

    def _reach(self) -> None:
        with self._connect() as connection:
            connection.execute("SELECT id FROM _otel.identity").fetchone()

    def _maintain(self) -> None:
        settings = self._settings
        with self._connect() as connection:
            Partitions(settings.past_days, settings.future_days).ensure_ahead(connection, _AHEAD, _DAYS_AHEAD)
            keep = {
                **dict.fromkeys(COLUMNS, settings.retention_days),
                **dict.fromkeys(_ROLLUPS, settings.rollup_retention_days),
                "digests": _DIGEST_DAYS,
            }
            if not _may_change_retention(connection):
                # A role that only writes drops by what the owner said last.
                connection.execute("SELECT _otel.drop_expired()")
                return
            for table, days in keep.items():
                connection.execute(query("set_retention"), {"table": table, "days": days or None})
            connection.execute("SELECT _otel.drop_expired()")

    def _refresh_open_starts(self) -> None:
        """Flows that began and sent no span are entered among the flows; which starts are open is noted."""
        with self._connect() as connection:
            connection.execute("SELECT _otel.add_started_flows()")
            connection.execute("SELECT _otel.refresh_open_starts()")

    def _roll_up_hours(self) -> None:
        """Statistics by hour, of the hours that are over; what is left out now is done the next time."""
        with self._connect() as connection:
            roll_up_hours(connection)


def _may_change_retention(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT has_table_privilege('_otel.retention', 'INSERT')").fetchone()
    return row is not None and bool(row[0])


def roll_up_hours(connection: psycopg.Connection[Any]) -> int:
    """Adds up the hours that are over and have changed; how many. 0 where another receiver is at it.

    ``connection`` commits by itself. The order of the three steps is what makes it right under writers: see
    sql/functions/hours_to_roll_up.sql. Raises ``psycopg.Error``; what was not done stays marked.
    """
    if connection.execute("SELECT pg_try_advisory_lock(hashtext('_otel.hour_stats'))").fetchone() != (True,):
        return 0
    try:
        hours = connection.execute("SELECT _otel.hours_to_roll_up(now())").fetchall()
        if hours:
            connection.execute("SELECT _otel.wait_for_writers()")
        for (hour,) in hours:
            connection.execute("SELECT _otel.roll_up_hour(%s)", (hour,))
        return len(hours)
    finally:
        connection.execute("SELECT pg_advisory_unlock(hashtext('_otel.hour_stats'))")
