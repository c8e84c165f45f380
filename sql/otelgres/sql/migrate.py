"""Upgrades a database to the schema of this version.

A migration is applied once and not edited afterwards: its checksum is stored, and a changed file is an error. If a file
of the functions or views has changed, all of them are applied again, in the order of their ``_order`` files.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

import psycopg

from otelgres.sql.logins import SUPERUSER_ADVICE, is_superuser, prepare_database, use_only_catalogs
from otelgres.sql.queries import query

# Applied again, in this order, whenever one of their files has changed.
_REPEATABLE = ("functions", "views", "compat", "tenant")
# Replacing a view waits until nobody uses it, and whoever comes later waits meanwhile, receivers too: so each attempt
# waits only a moment.
_LOCK_TIMEOUT = "500ms"
_ATTEMPTS = 20
_READERS = ["otelgres_reader", "otelgres_tenant"]
_PAUSE_SECONDS = 0.5

_OWN_TABLES = """
CREATE SCHEMA IF NOT EXISTS _otel;
CREATE TABLE IF NOT EXISTS _otel.migrations (
    name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS _otel.repeatable_migrations (
    folder text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())
"""


class SchemaError(Exception):
    """The database cannot be upgraded to this version; the message says why and what to do."""


def migrate(dsn: str, progress: Callable[[str], None] | None = None) -> list[str]:
    """Upgrades the database at ``dsn`` to this version; returns the names of the migrations applied now.

    Everything happens in one transaction. A superuser may only create the schema, or give one of a superuser to
    otelgres_owner: it would run what the schema's owner may have attached to its objects. Raises :class:`SchemaError`
    then, for a database that is newer than this program and for one whose applied migrations differ from the files;
    ``psycopg.Error`` otherwise.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        version = connection.info.server_version
        if version < 160000:
            raise SchemaError(f"PostgreSQL {version // 10000} is too old: otelgres needs PostgreSQL 16 or newer.")
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise SchemaError(
                f"The database is encoded as {encoding}, which cannot represent every text: "
                "create one with ENCODING 'UTF8' (and TEMPLATE template0)."
            )
        if progress:
            connection.add_notice_handler(lambda notice: _warn(notice, progress))
        if is_superuser(connection):
            return _as_superuser(connection, progress)
        if up_to_date(connection):
            # Returns before writing, so that a receiver needs no right to change the schema.
            return []
        try:
            return _attempts(connection, progress)
        except psycopg.errors.InsufficientPrivilege as error:
            raise SchemaError(_refused(pending(connection), connection.info, error)) from error


def _refused(missing: list[str], session: psycopg.ConnectionInfo, error: psycopg.Error) -> str:
    reason = str(error).splitlines()[0]
    if missing == migration_steps():
        return (
            f"Database {session.dbname} has no schema of otelgres, and {session.user} may not create it ({reason}): "
            "run `otelgres migrate` with an owner's DSN. `otelgres role create NAME --kind owner --create-roles`, with "
            "a superuser's DSN of this database, makes an owner, or lets an existing one create the schema here."
        )
    return (
        f"The schema is older than this program ({', '.join(missing[:3])}, …), and {session.user} may not upgrade it "
        f"({reason}): run `otelgres migrate` with an owner's DSN."
    )


def _attempts(connection: psycopg.Connection[tuple[object, ...]], progress: Callable[[str], None] | None) -> list[str]:
    for _ in range(_ATTEMPTS):
        try:
            return _migrate(connection, progress)
        except psycopg.errors.LockNotAvailable:
            holders = connection.execute(query("lock_holders")).fetchall()
            connection.execute(query("end_idle_transactions"), {"minutes": 1, "groups": _READERS})
            time.sleep(_PAUSE_SECONDS)
    raise SchemaError(
        "Other sessions use the tables and views, so they cannot be changed "
        f"({', '.join(f'pid {pid}, login {login}' for pid, login, *_ in holders) or 'they have ended meanwhile'}). "
        "End them (SELECT pg_terminate_backend(PID)) or wait, then migrate again."
    )


def _as_superuser(
    connection: psycopg.Connection[tuple[object, ...]], progress: Callable[[str], None] | None
) -> list[str]:
    use_only_catalogs(connection)
    superusers = _schema_owner_is_superuser(connection)
    if superusers is None:
        prepare_database(connection)
        connection.execute("SET ROLE otelgres_owner")
        return _attempts(connection, progress)
    if not superusers:
        raise SchemaError(
            f"{connection.info.user} is a superuser of PostgreSQL, or can become one, and the schema belongs to a role "
            f"that is none, whose triggers and functions would run as superuser: {SUPERUSER_ADVICE}."
        )
    with connection.transaction():
        prepare_database(connection)
        connection.execute(query("move_ownership"))
    raise SchemaError(
        f"The schema belonged to a superuser; it belongs to otelgres_owner now. To go on, {SUPERUSER_ADVICE}."
    )


def _schema_owner_is_superuser(connection: psycopg.Connection[tuple[object, ...]]) -> bool | None:
    row = connection.execute(
        "SELECT r.rolsuper FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner "
        "WHERE n.nspname = '_otel'"
    ).fetchone()
    return bool(row[0]) if row else None


def _migrate(connection: psycopg.Connection[tuple[object, ...]], progress: Callable[[str], None] | None) -> list[str]:
    with connection.transaction():
        applied = _applied(connection)
        connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'".encode())
        scripts = _ordered("migrations")
        _check_known(applied)
        new: list[str] = []
        for script in scripts:
            text = script.read_text(encoding="utf-8")
            checksum = hashlib.sha256(text.encode()).hexdigest()
            if script.name in applied:
                if applied[script.name] != checksum:
                    raise SchemaError(
                        f"Migration {script.name} was changed after it was applied to this database. "
                        "Restore the released file and put the change into a new migration."
                    )
                continue
            if progress:
                progress(f"migration {script.name}")
            _run(connection, text)
            connection.execute("INSERT INTO _otel.migrations (name, checksum) VALUES (%s, %s)", (script.name, checksum))
            new.append(script.name)
        checksum = _repeatable_checksum()
        if new or _repeatable_applied(connection) != checksum:
            if progress:
                progress("functions and views")
            _reapply(connection)
            connection.execute("SELECT _otel.grant_rights()")
            connection.execute(
                "INSERT INTO _otel.repeatable_migrations (folder, checksum) VALUES ('functions and views', %s) "
                "ON CONFLICT (folder) DO UPDATE SET checksum = excluded.checksum, applied_at = now()",
                (checksum,),
            )
        return new


def up_to_date(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Whether the database agrees with the files. Raises SchemaError for a database that is newer than this program."""
    if pending(connection):
        return False
    rows = connection.execute("SELECT name, checksum FROM _otel.migrations").fetchall()
    applied = {str(name): str(checksum) for name, checksum in rows}
    _check_known(applied)
    return all(
        applied.get(script.name) == hashlib.sha256(script.read_text(encoding="utf-8").encode()).hexdigest()
        for script in _ordered("migrations")
    )


def _check_known(applied: Mapping[str, str]) -> None:
    unknown = sorted(set(applied) - {script.name for script in _ordered("migrations")})
    if unknown:
        raise SchemaError(
            f"The database has migrations that are unknown to this version ({', '.join(unknown)}): "
            "it was migrated by a newer otelgres. Upgrade this program."
        )


def _warn(notice: psycopg.errors.Diagnostic, progress: Callable[[str], None]) -> None:
    if notice.severity_nonlocalized == "WARNING":
        progress(notice.message_primary or "")


def pending(connection: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    """The names of what :func:`migrate` would apply: migrations, and "functions and views" if they differ."""
    row = connection.execute("SELECT to_regclass('_otel.migrations') IS NOT NULL").fetchone()
    if not row or not row[0] or not _has_repeatable(connection):
        return migration_steps()
    applied = {row[0] for row in connection.execute("SELECT name FROM _otel.migrations").fetchall()}
    names = [script.name for script in _ordered("migrations") if script.name not in applied]
    if _repeatable_applied(connection) != _repeatable_checksum():
        names.append("functions and views")
    return names


def migration_steps() -> list[str]:
    """The names of all that :func:`migrate` applies to a database without our schemas."""
    return [*(script.name for script in _ordered("migrations")), "functions and views"]


def pending_by_view(connection: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    """As :func:`pending`, for a role that may only read views. Raises ``psycopg.Error`` if there are none yet."""
    rows = connection.execute("SELECT name, checksum FROM otel.migrations").fetchall()
    applied = {str(name): str(checksum) for name, checksum in rows}
    names = [script.name for script in _ordered("migrations") if script.name not in applied]
    return names if applied.get("functions and views") == _repeatable_checksum() else [*names, "functions and views"]


def _reapply(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    # In place if possible, to keep grants and dependent views of other schemas. CREATE OR REPLACE cannot change the
    # columns of a view: then otel and compat are dropped and created again, without CASCADE.
    scripts = [script for folder in _REPEATABLE for script in _ordered(folder)]
    try:
        with connection.transaction():
            for script in scripts:
                _run(connection, script.read_text(encoding="utf-8"))
    except (psycopg.errors.InvalidTableDefinition, psycopg.errors.InvalidFunctionDefinition):
        _drop_surface(connection)
        for script in scripts:
            _run(connection, script.read_text(encoding="utf-8"))
        # Relations that were created at run time have no file.
        connection.execute(
            "SELECT _otel.make_mapped_view(relation) FROM _otel.mapped_views "
            "WHERE to_regclass(format('compat.%I', relation)) IS NULL"
        )


def _drop_surface(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    views = connection.execute(
        "SELECT string_agg(oid::regclass::text, ', ') FROM pg_class "
        "WHERE relkind = 'v' AND relnamespace IN "
        "(SELECT oid FROM pg_namespace WHERE nspname IN ('otel', '_otel', 'compat', 'otel_tenant'))"
    ).fetchone()
    functions = connection.execute(
        "SELECT string_agg(oid::regprocedure::text, ', ') FROM pg_proc "
        "WHERE pronamespace IN ('otel'::regnamespace, 'compat'::regnamespace)"
    ).fetchone()
    try:
        if views and views[0]:
            connection.execute(f"DROP VIEW {views[0]}".encode())
        if functions and functions[0]:
            connection.execute(f"DROP ROUTINE {functions[0]}".encode())
    except psycopg.errors.DependentObjectsStillExist as error:
        raise SchemaError(
            "This version changes views of schema otel on which other objects depend "
            f"({error.diag.message_detail}). Drop them, migrate, and create them again."
        ) from error


def _run(connection: psycopg.Connection[tuple[object, ...]], script: str) -> None:
    # Several statements in one string require the simple protocol, which psycopg uses without parameters.
    connection.execute(script.encode())


def _applied(connection: psycopg.Connection[tuple[object, ...]]) -> dict[str, str]:
    """The migrations that have been applied, locked: only one process migrates at a time."""
    while not _has_repeatable(connection):
        try:
            with connection.transaction():
                connection.execute(_OWN_TABLES.encode())
        except (psycopg.errors.UniqueViolation, psycopg.errors.DuplicateSchema, psycopg.errors.DuplicateTable):
            # Another process has created them meanwhile.
            continue
    connection.execute("LOCK TABLE ONLY _otel.migrations IN EXCLUSIVE MODE")
    rows = connection.execute("SELECT name, checksum FROM _otel.migrations").fetchall()
    return {str(name): str(checksum) for name, checksum in rows}


def _has_repeatable(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    row = connection.execute("SELECT to_regclass('_otel.repeatable_migrations') IS NOT NULL").fetchone()
    return bool(row and row[0])


def _repeatable_applied(connection: psycopg.Connection[tuple[object, ...]]) -> str | None:
    row = connection.execute("SELECT checksum FROM _otel.repeatable_migrations").fetchone()
    return str(row[0]) if row else None


def _repeatable_checksum() -> str:
    digest = hashlib.sha256()
    for folder in _REPEATABLE:
        for script in _ordered(folder):
            digest.update(f"{folder}/{script.name}\n{script.read_text(encoding='utf-8')}\n".encode())
    return digest.hexdigest()


def _ordered(folder: str) -> list[Traversable]:
    """The scripts of a folder: migrations by name, the others in the order of their ``_order`` file."""
    directory = files("otelgres.sql") / folder
    found = {entry.name: entry for entry in directory.iterdir() if entry.name.endswith(".sql")}
    if folder == "migrations":
        return [found[name] for name in sorted(found)]
    order = (directory / "_order").read_text(encoding="utf-8").split()
    if sorted(order) != sorted(found):
        raise SchemaError(
            f"sql/{folder}/_order and the files in that folder differ: {sorted(set(order) ^ set(found))}. "
            "List every script there once."
        )
    return [found[name] for name in order]
