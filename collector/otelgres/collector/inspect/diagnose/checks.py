"""All checks in the order of their dependencies, and the function that runs them."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import psycopg
from psycopg.rows import dict_row

from otelgres.collector.inspect.diagnose import Check, Context, Finding, database, listeners, sharing, traffic

CHECKS: Final[dict[str, Check]] = {
    "database": database.reachable,
    "schema": database.schema,
    "rights": database.rights,
    "public": sharing.public,
    "disk": database.disk,
    "retention": sharing.retention,
    "ports": listeners.ports,
    "test flow": listeners.test_flow,
    "receivers": traffic.receivers,
    "clocks": traffic.clocks,
    "services": traffic.silence,
    "alerts": traffic.alerts,
    "redis": traffic.redis,
}


def diagnose(dsn: str | None, http: str, grpc: str, redis: str | None, seconds: float) -> Iterator[Finding]:
    """Runs the checks and yields their findings. ``seconds`` is the timeout of each query and connection."""
    connection = None
    if dsn is not None:
        with suppress(psycopg.Error):
            connection = psycopg.connect(
                dsn,
                autocommit=True,
                connect_timeout=max(2, int(seconds)),
                application_name="otelgres diagnose",
                row_factory=dict_row,
            )
            connection.execute("SELECT set_config('statement_timeout', %s, false)", [f"{int(seconds * 1000)}ms"])
    context = Context(dsn, connection, http, grpc, redis, seconds)
    try:
        for name, check in CHECKS.items():
            try:
                yield from check(context)
            except psycopg.Error as error:
                yield traffic.failed(name, error)
    finally:
        if connection is not None:
            connection.close()
