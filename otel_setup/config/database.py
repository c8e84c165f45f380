"""Resolves the database for export without a collector, from the arguments and the environment.

No I/O. A DSN never appears in a warning: it may contain a password.
"""

from collections.abc import Mapping
from typing import Any, Final

from otel_setup.config.processing import PREFIX
from otelgres.exporters.target import Database

CONNECT_TIMEOUT: Final = 10
QUERY_TIMEOUT: Final = 30.0


def resolve_database(given: Any, environ: Mapping[str, str], warnings: list[str]) -> Database | None:
    """From the argument ``dsn``, else from its variable; None if neither is set and valid."""
    if isinstance(given, Database):
        return given
    name = PREFIX + "DSN"
    for source, value in (("dsn", given), (name, environ.get(name, "").strip() or None)):
        if value is None:
            continue
        database = database_at(value) if isinstance(value, str) else None
        if database is not None:
            return database
        warnings.append(f"{source} is not a libpq URI (postgresql://…) or key/value string: it is ignored")
    return None


def database_at(
    dsn: str, *, password: str | None = None, timeout: float = QUERY_TIMEOUT, connect_timeout: int = CONNECT_TIMEOUT
) -> Database | None:
    """The database at ``dsn``; None if that is not a connection string. Timeouts are seconds."""
    import psycopg  # late import: most applications send to a collector
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        parts = conninfo_to_dict(dsn)
        parts.setdefault("connect_timeout", str(connect_timeout))
        if password is not None:
            parts["password"] = password
        whole = make_conninfo("", **parts)
    except (psycopg.Error, ValueError):
        return None
    host, port, name = (parts.get(key) for key in ("host", "port", "dbname"))
    endpoint = f"postgresql://{host or ''}{f':{port}' if port else ''}/{name or ''}"
    return Database(whole, endpoint, timeout, connect_timeout)
