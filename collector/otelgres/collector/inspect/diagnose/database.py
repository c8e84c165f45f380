"""Checks of the database: connection, schema version, privileges, disk space."""

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
    """Checks that the server answers, is new enough, and accepts writes."""
    if context.connection is None:
        if context.dsn is None:
            yield broken(
                "database",
                "no database is configured",
                "give --dsn, set OTELGRES_DSN, or start the embedded one with `otelgres up`",
            )
            return
        try:
            psycopg.connect(context.dsn, connect_timeout=max(2, int(context.seconds))).close()
        except psycopg.Error as error:
            yield broken(
                "database",
                f"{without_secrets(context.dsn)}: {_line(error)}",
                "check that PostgreSQL is running there, and host, database name, user and password",
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
            "this is a standby: receivers cannot store here",
            "connect receivers to the primary (target_session_attrs=read-write in the DSN)",
        )
    yield fine("database", f"PostgreSQL {version // 10000} answers")


def schema(context: Context) -> Iterator[Finding]:
    """Checks that the schema exists and is up to date."""
    connection = context.connection
    if connection is None:
        return
    there = connection.execute("SELECT to_regclass('otel.spans') IS NOT NULL AS there").fetchone()
    if not there or not there["there"]:
        yield broken(
            "schema",
            "the database has no schema otel",
            "run `otelgres migrate --dsn …`, or start a receiver as the owner of the database",
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
            f"the schema is older than this version of otelgres: {', '.join(missing[:4])}",
            "run `otelgres migrate --dsn …` (receivers of this version do it when they start)",
        )
    else:
        yield fine("schema", "the schema is up to date")


def _pending_for_a_reader(connection: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    try:
        return pending_by_view(connection)
    except psycopg.errors.UndefinedTable:
        return ["migrations.sql"]


def rights(context: Context) -> Iterator[Finding]:
    """Checks that the role may read the views, and warns about remote superusers."""
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
            "run `otelgres role create NAME --kind reader`, or GRANT otelgres_reader to the role",
        )
    elif row["superuser"] and row["remote"]:
        yield warning(
            "rights",
            f"role {row['role']} is a superuser",
            "use a role of kind writer for receivers and one of kind reader for people: docs/security.md",
        )
    else:
        yield fine("rights", f"role {row['role']} may read the views")


def disk(context: Context) -> Iterator[Finding]:
    """Checks the free disk space, if the database's folder is on this machine."""
    if context.connection is None:
        return
    try:
        folder = data_folder(context.connection)
    except psycopg.errors.InsufficientPrivilege:
        yield fine(
            "disk",
            "this role may not read data_directory; the alert rule disk_budget checks the size instead",
        )
        return
    if folder is None or not folder.is_dir():
        return
    usage = shutil.disk_usage(folder)
    portion = usage.free / usage.total
    if portion < _LEAST_FREE:
        yield Finding(
            "disk",
            Severity.BROKEN if portion < _LEAST_PORTION else Severity.WARNING,
            f"{portion:.0%} of the disk of {folder} is free",
            "https://github.com/otelgres/otelgres/blob/main/docs/runbooks/disk-budget.md",
        )
    else:
        yield fine("disk", f"{portion:.0%} of the database's disk is free")


def data_folder(connection: psycopg.Connection[dict[str, Any]]) -> Path | None:
    """The data folder of a server on this machine; None for a remote one. Raises psycopg.Error."""
    if not connection.info.host.startswith("/") and connection.info.host not in _HERE:
        return None
    # Of the embedded server, the folder of the socket is mostly that of the data, and readers may not ask for it.
    if (Path(connection.info.host) / "PG_VERSION").is_file():
        return Path(connection.info.host)
    row = connection.execute("SELECT current_setting('data_directory') AS folder").fetchone()
    folder = str(row["folder"]) if row else ""
    if not folder.startswith("/proc/self"):
        return Path(folder)
    # The embedded server uses its working directory, so that it needs no access to the parent folders.
    with suppress(psutil.Error):
        return Path(psutil.Process(connection.info.backend_pid).cwd())
    return Path(connection.info.host)


def _line(error: psycopg.Error) -> str:
    return str(error).strip().splitlines()[0]
