"""Maintains the database: migrates the schema, creates partitions ahead, drops expired ones, rolls up hours."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from otelgres.exporters.postgres.codec.decode import COLUMNS
from otelgres.exporters.postgres.partitions import Partitions, drop_expired
from otelgres.sql.logins import LoginRefused, refuse_superuser
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
# Readers created by `otelgres role create` and our writers are ended after one minute, unless they change this setting.
_IDLE_MINUTES: Final = 5
_GROUPS: Final = ["otelgres_reader", "otelgres_tenant", "otelgres_writer"]


@dataclass(frozen=True, slots=True)
class Retention:
    """Days: how far back and ahead each day has its own partition, and how long rows are kept (0: forever)."""

    past_days: int
    future_days: int
    signals: int
    rollups: int


class Maintenance:
    """Maintains one database until cancelled; ``when_known`` is called in the loop once the schema is ready.

    ``dsn`` is for the maintenance, ``writer_dsn`` what the receiver stores with. If the login of one is a superuser,
    ``refused`` is set in place of ``schema_known``, ``refusal`` says what to do, and nothing has been stored.
    """

    def __init__(self, retention: Retention, dsn: str, writer_dsn: str, when_known: Callable[[], None]) -> None:
        self._retention = retention
        self._dsn = dsn
        self._writer_dsn = writer_dsn
        self._when_known = when_known
        self.schema_known = asyncio.Event()
        # Tables whose expired partitions could not be dropped the last time.
        self._used: list[str] = []
        self.refused = asyncio.Event()
        self.refusal = ""

    async def run(self) -> None:
        """Migrates the database as soon as it is available, then maintains it. Logs and retries database errors."""
        last_message = ""
        while not self.schema_known.is_set():
            try:
                await asyncio.to_thread(self._check_logins)
                await asyncio.to_thread(migrate, self._dsn, log.info)
                await asyncio.to_thread(self._maintain)
            except LoginRefused as error:
                self.refusal = str(error)
                self.refused.set()
                return
            except (psycopg.Error, SchemaError) as error:
                if str(error) != last_message:
                    last_message = str(error)
                    log.warning("the database is not ready: %s", last_message.strip())
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
                log.warning("database maintenance failed: %s; retrying later", str(error).strip())

    def _check_logins(self) -> None:
        for dsn in (self._dsn, self._writer_dsn):
            self._connect(dsn).close()

    def _connect(self, dsn: str | None = None) -> psycopg.Connection[Any]:
        connection = psycopg.connect(dsn or self._dsn, autocommit=True, connect_timeout=2)
        try:
            refuse_superuser(connection)
        except psycopg.Error:
            connection.close()
            raise
        return connection

    def _maintain(self) -> None:
        retention = self._retention
        with self._connect() as connection:
            Partitions(retention.past_days, retention.future_days).ensure_ahead(connection, _AHEAD, _DAYS_AHEAD)
            keep = {
                **dict.fromkeys(COLUMNS, retention.signals),
                **dict.fromkeys(_ROLLUPS, retention.rollups),
                "digests": _DIGEST_DAYS,
            }
            # A role without this privilege uses the retention that the owner set last.
            if _may_change_retention(connection):
                for table, days in keep.items():
                    connection.execute(query("set_retention"), {"table": table, "days": days or None})
            _end_idle_transactions(connection)
            used = drop_expired(connection)
        if used and used != self._used:
            log.warning(
                "expired partitions of %s cannot be dropped while other sessions use them; retrying later "
                "(`otelgres diagnose` names the sessions)",
                ", ".join(used),
            )
        self._used = used

    def _refresh_open_starts(self) -> None:
        """Adds flows that have started without a span yet, and refreshes the list of open starts."""
        with self._connect() as connection:
            connection.execute("SELECT _otel.add_started_flows()")
            connection.execute("SELECT _otel.refresh_open_starts()")

    def _roll_up_hours(self) -> None:
        """Hourly statistics of completed hours; hours that are skipped now are done the next time."""
        with self._connect() as connection:
            roll_up_hours(connection)


def _may_change_retention(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT has_table_privilege('_otel.retention', 'INSERT')").fetchone()
    return row is not None and bool(row[0])


def _end_idle_transactions(connection: psycopg.Connection[Any]) -> None:
    """Ends sessions that have been idle in a transaction for minutes, if the login may: they hold locks."""
    ended = connection.execute(query("end_idle_transactions"), {"minutes": _IDLE_MINUTES, "groups": _GROUPS}).fetchall()
    for pid, login, since in ended:
        log.warning("ended the session of %s (pid %s): idle in a transaction since %s", login, pid, since)


def roll_up_hours(connection: psycopg.Connection[Any]) -> int:
    """Rolls up the completed hours that have changed; returns how many. Other receivers may do it at the same time.

    ``connection`` must be in autocommit mode. The order of the three steps matters while others write: see
    functions/hours_to_roll_up.sql. Raises ``psycopg.Error``; the remaining hours stay marked.
    """
    hours = connection.execute("SELECT hour, taken FROM _otel.hours_to_roll_up(now())").fetchall()
    if hours:
        connection.execute("SELECT _otel.wait_for_writers()")
    done = 0
    for hour, taken in hours:
        row = connection.execute("SELECT _otel.roll_up_hour(%s, %s)", (hour, taken)).fetchone()
        done += row == (True,)
    return done
