"""The named queries that Python runs, one per file."""

from functools import cache
from importlib.resources import files


@cache
def query(name: str) -> bytes:
    """The text of ``queries/<name>.sql``, as bytes: psycopg does not accept a dynamic ``str``."""
    return (files("otelgres.sql.queries") / f"{name}.sql").read_bytes()
