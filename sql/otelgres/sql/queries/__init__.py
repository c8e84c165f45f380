"""The named queries that Python runs, one a file, loaded by name."""

from functools import cache
from importlib.resources import files


@cache
def query(name: str) -> bytes:
    """The text of ``queries/<name>.sql``, as bytes: psycopg takes those as a constant, never as a template."""
    return (files("otelgres.sql.queries") / f"{name}.sql").read_bytes()
