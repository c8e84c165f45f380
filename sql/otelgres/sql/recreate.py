"""Drops everything of ours from a database, so that it can be made anew. Says what that would be, and refuses to guess.

Nothing that others have built on our views is ever dropped with them.
"""

from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.sql import SQL, Identifier

from otelgres.sql.migrate import SchemaError

_OURS: Final = ["_otel", "otel", "compat", "otel_tenant"]
# Up to here rows are counted; beyond, the planner's estimate must do.
_COUNTED: Final = 1_000_000
# Without rows in these there is no telemetry in the database.
_TELEMETRY: Final = frozenset({
    "spans", "logs", "number_points", "histogram_points", "exponential_histogram_points", "summary_points",
})  # fmt: skip

_TABLES: Final = """
SELECT n.nspname, c.relname,
       (SELECT coalesce(sum(greatest(p.reltuples, 0)), 0)::bigint FROM pg_class p
        WHERE p.oid = c.oid OR p.oid IN (SELECT t.relid FROM pg_partition_tree(c.oid) t WHERE t.isleaf))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY n.nspname, c.relname
"""
_OTHERS: Final = """
SELECT DISTINCT format('%%I.%%I', n.nspname, v.relname)
FROM pg_depend d
JOIN pg_rewrite w ON w.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
JOIN pg_class v ON v.oid = w.ev_class
JOIN pg_namespace n ON n.oid = v.relnamespace
JOIN pg_class o ON o.oid = d.refobjid AND d.refclassid = 'pg_class'::regclass
JOIN pg_namespace m ON m.oid = o.relnamespace
WHERE m.nspname = ANY (%s) AND n.nspname <> ALL (%s)
ORDER BY 1
"""


@dataclass(frozen=True)
class Contents:
    """What there is: our schemas, rows by table where there are any, and views of others that rest on ours."""

    database: str
    schemas: list[str]
    rows: dict[str, int]
    others: list[str]

    @property
    def has_telemetry(self) -> bool:
        """Whether anything that applications have sent would be lost."""
        return any(table.partition(".")[2] in _TELEMETRY for table in self.rows)


def contents(connection: psycopg.Connection[Any]) -> Contents:
    """What :func:`drop` would drop. Rows beyond a million are estimates. Raises psycopg.Error."""
    schemas = connection.execute(
        "SELECT nspname FROM pg_namespace WHERE nspname = ANY (%s) ORDER BY 1", [_OURS]
    ).fetchall()
    rows: dict[str, int] = {}
    for schema, table, estimate in connection.execute(_TABLES, [_OURS]).fetchall():
        number = estimate
        if estimate < _COUNTED:
            query = SQL("SELECT count(*) FROM (SELECT FROM {} LIMIT {}) r")
            row = connection.execute(query.format(Identifier(schema, table), _COUNTED)).fetchone()
            number = max(estimate, row[0]) if row and row[0] >= _COUNTED else row[0] if row else 0
        if number:
            rows[f"{schema}.{table}"] = int(number)
    others = connection.execute(_OTHERS, [_OURS, _OURS]).fetchall()
    return Contents(connection.info.dbname, [row[0] for row in schemas], rows, [row[0] for row in others])


def drop(connection: psycopg.Connection[Any]) -> None:
    """Drops our schemas with all that is in them, in one transaction.

    Raises SchemaError where others' views rest on ours, or where somebody is writing; psycopg.Error otherwise.
    """
    found = contents(connection)
    if found.others:
        raise SchemaError(f"Views of others rest on ours ({', '.join(found.others)}): drop those first.")
    try:
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '10s'")
            for schema in found.schemas:
                connection.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(schema)))
    except psycopg.errors.LockNotAvailable as error:
        raise SchemaError("Somebody is using the tables: stop the receivers, then try again.") from error
