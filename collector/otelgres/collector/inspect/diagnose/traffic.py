"""Checks of the stored data: receivers, clocks, silent services, firing alert rules; and of Redis."""

import socket
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import psycopg

from otelgres.collector.inspect.diagnose import Context, Finding, Severity, broken, fine, warning
from otelgres.exporters.plural import counted
from otelgres.sql.queries import query

_AHEAD_SECONDS: Final = 1.0
_BEHIND_SECONDS: Final = 120.0
_REDIS_PORT: Final = 6379
_SEVERITIES: Final = {"critical": Severity.BROKEN, "warning": Severity.WARNING}


def receivers(context: Context) -> Iterator[Finding]:
    """Checks that a receiver reports to this database."""
    if context.connection is None:
        return
    row = context.connection.execute(
        "SELECT count(DISTINCT receiver_id) FILTER (WHERE alive) AS alive FROM otel.receivers"
    ).fetchone()
    alive = row["alive"] if row else 0
    if alive:
        yield fine("receivers", f"{alive} alive")
    else:
        yield broken(
            "receivers",
            "no receiver reports to this database",
            "start one, or check whether it stores in another database: `otelgres status`",
        )


def clocks(context: Context) -> Iterator[Finding]:
    """Checks that the senders' clocks agree with the database's."""
    if context.connection is None:
        return
    rows = context.connection.execute(query("diagnose_skew")).fetchall()
    for row in rows:
        if row["ahead"] > _AHEAD_SECONDS:
            yield warning(
                "clocks",
                f"the clock of {row['service_name']} is {row['ahead']:.1f} s ahead of the database's",
                "synchronise the clocks of both machines (chrony, systemd-timesyncd)",
            )
        elif row["behind"] > _BEHIND_SECONDS:
            yield warning(
                "clocks",
                f"telemetry of {row['service_name']} is {row['behind']:.0f} s old when it is stored",
                "set its clock if it is behind; otherwise look for a full queue or spool on the way",
            )
    if rows and not any(row["ahead"] > _AHEAD_SECONDS or row["behind"] > _BEHIND_SECONDS for row in rows):
        yield fine("clocks", f"clocks of {counted(len(rows), 'service')} compared: they agree with the database's")


def silence(context: Context) -> Iterator[Finding]:
    """Lists services that have stopped sending."""
    if context.connection is None:
        return
    for row in context.connection.execute(query("diagnose_silent")).fetchall():
        yield warning(
            "services",
            f"{row['service_name']} has sent nothing since {row['last']:%Y-%m-%d %H:%M} UTC",
            "check that it runs and reaches the receiver: run `otelgres diagnose` on its machine",
        )


def alerts(context: Context) -> Iterator[Finding]:
    """Lists the alert rules that fire."""
    if context.connection is None:
        return
    rows = context.connection.execute(query("alerts")).fetchall()
    firing = [row for row in rows if row["firing"]]
    for row in firing:
        yield Finding(
            "alerts", _SEVERITIES[row["severity"]], f"{row['rule']} {row['subject']}: {row['summary']}", row["runbook"]
        )
    if not firing:
        yield fine("alerts", f"{counted(len(rows), 'rule')} evaluated, none fires")


def redis(context: Context) -> Iterator[Finding]:
    """Checks that Redis answers, if one is configured."""
    if context.redis is None:
        return
    parts = urlsplit(context.redis)
    host, port = parts.hostname or "127.0.0.1", parts.port or _REDIS_PORT
    try:
        with socket.create_connection((host, port), context.seconds) as connection:
            connection.settimeout(context.seconds)
            connection.sendall(b"PING\r\n")
            reply = connection.recv(64)
    except OSError as error:
        yield broken(
            "redis", f"no answer from {host}:{port} ({error.strerror or error})", "start Redis, or correct REDIS_URL"
        )
        return
    if reply.startswith((b"+PONG", b"-NOAUTH")):
        yield fine("redis", f"Redis at {host}:{port} answers")
    else:
        yield broken("redis", f"the server at {host}:{port} is not Redis", "correct REDIS_URL")


def failed(name: str, error: psycopg.Error) -> Finding:
    """The finding for a check that failed with a database error."""
    missing = isinstance(error, (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName))
    return Finding(
        name,
        Severity.WARNING,
        f"query failed: {str(error).strip().splitlines()[0]}",
        "run `otelgres migrate` with an owner's DSN"
        if missing
        else "use a role that may read schema otel: `otelgres role create NAME --kind reader`",
    )
