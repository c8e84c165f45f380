"""``docs/sql-reference.md``: every public view, column and function with its comment, from a migrated database.

Refuses to know which there are.
"""

from itertools import groupby
from operator import itemgetter
from typing import Final, LiteralString

import psycopg
from psycopg.rows import dict_row

_HEAD: Final = """# SQL reference

Made by `make docs` from the comments in the database: `\\d+ otel.flows` in psql says the same. Schema `_otel` is
private and changes without notice.

"""

_SCHEMAS: Final[dict[LiteralString, str]] = {
    "otel": "OpenTelemetry's own names. Times are `timestamptz`, durations milliseconds, ids hexadecimal or `uuid`.",
    "compat": "Relations of the logging systems that teams come from: see the pages *coming from …*. Their columns for "
    "a domain's own fields are filled from attributes; `compat.map_column()` adds yours.",
}

_COLUMNS: Final = """
SELECT c.relname AS relation, obj_description(c.oid, 'pg_class') AS about, a.attname AS name,
       format_type(a.atttypid, a.atttypmod) AS type, col_description(c.oid, a.attnum) AS comment
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = %s AND c.relkind IN ('v', 'm', 'r', 'p')
ORDER BY c.relname, a.attnum
"""

_FUNCTIONS: Final = """
SELECT p.proname AS name, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
       obj_description(p.oid, 'pg_proc') AS comment
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = %s
ORDER BY p.proname, pg_get_function_identity_arguments(p.oid)
"""


def sql_reference(connection: psycopg.Connection) -> str:
    """The page, as Markdown. Raises psycopg.Error."""
    parts = [_HEAD]
    with connection.cursor(row_factory=dict_row) as cursor:
        for schema, about in _SCHEMAS.items():
            parts.append(f"## Schema {schema}\n\n{about}\n\n")
            columns = cursor.execute(_COLUMNS, [schema]).fetchall()
            for relation, group in groupby(columns, key=itemgetter("relation")):
                rows = list(group)
                parts.append(
                    f"### {schema}.{relation}\n\n{_line(rows[0]['about'])}\n\n| column | type | |\n|---|---|---|\n"
                )
                parts.extend(f"| `{row['name']}` | {row['type']} | {_cell(row['comment'])} |\n" for row in rows)
                parts.append("\n")
            for row in cursor.execute(_FUNCTIONS, [schema]).fetchall():
                parts.append(f"### {schema}.{row['name']}({row['arguments']})\n\n")
                parts.append(f"{_line(row['comment'])}\n\nReturns `{row['result']}`.\n\n")
    return "".join(parts).rstrip("\n") + "\n"


def _line(comment: str | None) -> str:
    return " ".join((comment or "").split())


def _cell(comment: str | None) -> str:
    return _line(comment).replace("|", "\\|")
