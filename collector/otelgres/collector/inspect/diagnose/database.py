"""The database: reachable, ours, of this version, with rights and room. Refuses to know the receivers."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg

from otelgres.collector.inspect.diagnose import Context, Finding, Severity, broken, fine, warning
from otelgres.collector.security.dsn import without_secrets
from otelgres.sql.migrate import pending, pending_by_view
from otelgres.sql.queries import query

_HERE: Final = ("localhost", "127.0.0.1", "::1")
_LEAST_FREE: Final = 0.1
_LEAST_PORTION: Final = 0.02


def reachable(context: Context) -> Iterator[Finding]:
    """Whether it answers, is new enough, and takes writes."""
    if context.connection is None:
        if context.dsn is None:
            yield broken(
                "database",
                "no database is known",
                "give --dsn, set OTELGRES_DSN, or start the embedded one with `otelgres up`",
            )
            return
        try:
            psycopg.connect(context.dsn, connect_timeout=max(2, int(context.seconds))).close()
        except psycopg.Error as error:
            yield broken(
                "database",
                f"{without_secrets(context.dsn)}: {_line(error)}",
                "is PostgreSQL running there, and do host, name, user and password fit?",
            )
        return
    connection = context.connection
    version = connection.info.server_version
    if version < 160000:
        yield broken("database", f"PostgreSQL {version // 10000} is too old", "use PostgreSQL 16 or newer")
    row = connection.execute(
        "SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS ro"
    ).fetchone()
    if row and row["standby"]:
        yield warning(
            "database",
            "this is a standby: good for reading, a receiver cannot store here",
            "let receivers use the primary (target_session_attrs=read-write in the DSN)",
        )
    yield fine("database", f"PostgreSQL {version // 10000} answers")


def schema(context: Context) -> Iterator[Finding]:
    """Whether the schema is there and of this program's version."""
    connection = context.connection
    if connection is None:
        return
    there = connection.execute("SELECT to_regclass('otel.spans') IS NOT NULL AS there").fetchone()
    if not there or not there["there"]:
        yield broken(
            "schema",
            "there is no schema otel in this database",
            "otelgres migrate --dsn …, or let a receiver with the owner's rights do it",
        )
        return
    with psycopg.connect(context.dsn or "", autocommit=True, connect_timeout=5) as plain:
        try:
            missing = pending(plain)
        except psycopg.errors.InsufficientPrivilege:
            missing = _pending_for_a_reader(plain)
    if missing:
        yield warning(
            "schema",
            f"the schema is older than this program: {', '.join(missing[:4])}",
            "otelgres migrate --dsn … (receivers of this version do it when they start)",
        )
    else:
        yield fine("schema", "the schema is this program's")


def _pending_for_a_reader(connection: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    try:
        return pending_by_view(connection)
    except psycopg.errors.UndefinedTable:
        return ["migrations.sql"]


def rights(context: Context) -> Iterator[Finding]:
    """Whether this role may read the views, and that a reader may not write."""
    connection = context.connection
    if connection is None:
        return
    try:
        row = connection.execute(query("diagnose_rights")).fetchone()
    except psycopg.Error:
        return
    if row is None:
        return
    if not row["reads"]:
        yield broken(
            "rights",
            f"role {row['role']} may not read schema otel",
            "otelgres role create NAME --kind reader, or GRANT otelgres_reader TO it",
        )
    elif row["superuser"] and row["remote"]:
        yield warning(
            "rights",
            f"role {row['role']} is a superuser",
            "give receivers a role of kind writer and people one of kind reader: docs/security.md",
        )
    else:
        yield fine("rights", f"role {row['role']} may read the views")


def disk(context: Context) -> Iterator[Finding]:
    """Whether there is room, where the database's folder can be seen from here."""
    if context.connection is None:
        return
    try:
        folder = data_folder(context.connection)
    except psycopg.errors.InsufficientPrivilege:
        yield fine("disk", "this role may not see the database's folder; the alert rule disk_budget looks at its size")
        return
    if folder is None or not folder.is_dir():
        return
    usage = shutil.disk_usage(folder)
    portion = usage.free / usage.total
    if portion < _LEAST_FREE:
        yield Finding(
            "disk",
            Severity.BROKEN if portion < _LEAST_PORTION else Severity.WARNING,
            f"{portion:.0%} of the disk below {folder} is free",
            "https://github.com/otelgres/otelgres/blob/main/docs/runbooks/disk-budget.md",
        )
    else:
        yield fine("disk", f"{portion:.0%} of the database's disk is free")


def data_folder(connection: psycopg.Connection[dict[str, Any]]) -> Path | None:
    """Where a server on this machine keeps its data; None for one elsewhere. Raises psycopg.Error."""
    if not connection.info.host.startswith("/") and connection.info.host not in _HERE:
        return None
    row = connection.execute("SELECT current_setting('data_directory') AS folder").fetchone()
    folder = str(row["folder"]) if row else ""
    if not folder.startswith("/proc/self"):
        return Path(folder)
    # The embedded server says "wherever I am", so that it needs no right to the folders above.
    with suppress(psutil.Error):
        return Path(psutil.Process(connection.info.backend_pid).cwd())
    return Path(connection.info.host)


def _line(error: psycopg.Error) -> str:
    return str(error).strip().splitlines()[0]
