"""Drops the otelgres schemas from a database, so that they can be created again, and lists what would be dropped.

Objects of other schemas that depend on otelgres views are never dropped.
"""

from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.sql import SQL, Identifier

from otelgres.sql.migrate import SchemaError

_SCHEMAS: Final = ["_otel", "otel", "compat", "otel_tenant"]
# Rows are counted up to this number; above it, the planner's estimate is used.
_COUNTED: Final = 1_000_000
# The tables that contain telemetry sent by applications.
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
_DEPENDENT_VIEWS: Final = """
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
class DatabaseContents:
    """Existing otelgres schemas, rows of tables that are not empty, and views of other schemas that depend on them."""

    database: str
    schemas: list[str]
    rows: dict[str, int]
    dependent_views: list[str]

    @property
    def has_telemetry(self) -> bool:
        """Whether telemetry sent by applications would be lost."""
        return any(table.partition(".")[2] in _TELEMETRY for table in self.rows)


def contents(connection: psycopg.Connection[Any]) -> DatabaseContents:
    """What :func:`drop` would drop. Row counts above one million are estimates. Raises psycopg.Error."""
    schemas = connection.execute(
        "SELECT nspname FROM pg_namespace WHERE nspname = ANY (%s) ORDER BY 1", [_SCHEMAS]
    ).fetchall()
    rows: dict[str, int] = {}
    for schema, table, estimate in connection.execute(_TABLES, [_SCHEMAS]).fetchall():
        number = estimate
        if estimate < _COUNTED:
            query = SQL("SELECT count(*) FROM (SELECT FROM {} LIMIT {}) r")
            row = connection.execute(query.format(Identifier(schema, table), _COUNTED)).fetchone()
            number = max(estimate, row[0]) if row and row[0] >= _COUNTED else row[0] if row else 0
        if number:
            rows[f"{schema}.{table}"] = int(number)
    dependent = connection.execute(_DEPENDENT_VIEWS, [_SCHEMAS, _SCHEMAS]).fetchall()
    return DatabaseContents(connection.info.dbname, [row[0] for row in schemas], rows, [row[0] for row in dependent])


def drop(connection: psycopg.Connection[Any]) -> None:
    """Drops the otelgres schemas with their contents, in one transaction.

    Raises SchemaError if other views depend on them or if they are in use; psycopg.Error otherwise.
    """
    found = contents(connection)
    if found.dependent_views:
        raise SchemaError(
            f"Other views depend on otelgres views ({', '.join(found.dependent_views)}): drop them first."
        )
    try:
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '10s'")
            for schema in found.schemas:
                connection.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(schema)))
    except psycopg.errors.LockNotAvailable as error:
        raise SchemaError("The tables are in use: stop the receivers, then try again.") from error
