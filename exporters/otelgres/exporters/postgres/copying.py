"""Writes rows on a connection: by COPY or, if some may be stored already, through a staging table."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql as psql

from otelgres.exporters.postgres.codec.decode import COLUMNS
from otelgres.exporters.postgres.codec.rows import Group, LossEntry

# Rows per call that compares rows with the stored ones.
_PORTION: Final = 500
# The tenant of a row of a staging table ``s``.
_OWN_TENANT: Final = "coalesce(s.tenant_id, 0)"
_SERIES_TENANT: Final = (
    "(SELECT r.tenant_id FROM _otel.series e JOIN _otel.resources r ON r.id = e.resource_id WHERE e.id = s.series_id)"
)


def copy(cursor: psycopg.Cursor[Any], table: str, columns: Sequence[str], rows: Iterable[bytes]) -> None:
    """Copies COPY BINARY ``rows`` into a table of schema _otel. Raises psycopg.Error, also if a row is stored."""
    with cursor.copy(_statement("COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)", table, columns)) as copy:
        for piece in rows:
            copy.write(piece)


def stage(cursor: psycopg.Cursor[Any], table: str, columns: Sequence[str], rows: Iterable[bytes], group: Group) -> int:
    """Inserts the rows that are not stored yet and returns the number of duplicates.

    A row with a stored key but different content is counted as a loss in ``group.losses``.
    """
    if _has_stage(cursor, table):
        # It has the rows of the transaction's earlier parts, which would be looked up again for each part.
        cursor.execute(_statement("TRUNCATE {stage}", table, columns))
    else:
        _create_stage(cursor, table, columns)
    with cursor.copy(_statement("COPY {stage} ({columns}) FROM STDIN (FORMAT BINARY)", table, columns)) as copy:
        for piece in rows:
            copy.write(piece)
    cursor.execute(
        _statement(
            "INSERT INTO {table} ({columns}) SELECT {columns} FROM {stage} ON CONFLICT DO NOTHING", table, columns
        )
    )
    duplicates = group.counts[table] - cursor.rowcount
    if duplicates:
        # In portions, because a jsonb value is limited to 256 MB.
        cursor.execute(
            psql.SQL(
                "SELECT p.tenant_id, sum(_otel.other_content(%s, p.rows))::bigint FROM ("
                "SELECT s.tenant_id, jsonb_agg(to_jsonb(s.row)) AS rows FROM ("
                "SELECT {tenant_id} AS tenant_id, s AS row, (row_number() OVER () - 1) / %s AS portion FROM {stage} s"
                ") s GROUP BY s.tenant_id, s.portion) p GROUP BY 1"
            ).format(
                tenant_id=psql.SQL(_OWN_TENANT if "tenant_id" in columns else _SERIES_TENANT),
                stage=psql.Identifier(f"stage_{table}"),
            ),
            (table, _PORTION),
        )
        for tenant_id, count in cursor.fetchall():
            if count:
                group.losses.add(LossEntry("dropped", table, "same_key_other_content", tenant_id), count)
    return duplicates


def _has_stage(cursor: psycopg.Cursor[Any], table: str) -> bool:
    cursor.execute("SELECT to_regclass(%s)", (f"pg_temp.stage_{table}",))
    return cursor.fetchone() != (None,)


def _create_stage(cursor: psycopg.Cursor[Any], table: str, columns: Sequence[str]) -> None:
    # From the catalog: LIKE would need the right to read the table.
    cursor.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attname = ANY (%s)",
        (f"_otel.{table}", list(columns)),
    )
    definitions = [psql.SQL("{} {}").format(psql.Identifier(n), psql.SQL(t)) for n, t in cursor.fetchall()]
    cursor.execute(
        psql.SQL("CREATE TEMP TABLE {} ({}) ON COMMIT DELETE ROWS").format(
            psql.Identifier(f"stage_{table}"), psql.SQL(", ").join(definitions)
        )
    )


def store(cursor: psycopg.Cursor[Any], group: Group, *, staged: bool) -> int:
    """Writes the rows of a group and returns the number of duplicates. Raises psycopg.Error."""
    duplicates = 0
    for table, columns in COLUMNS.items():
        if group.counts[table]:
            if staged:
                duplicates += stage(cursor, table, columns, group.rows(table), group)
            else:
                copy(cursor, table, columns, group.rows(table))
    return duplicates


def _statement(template: str, table: str, columns: Sequence[str]) -> psql.Composed:
    return psql.SQL(template).format(
        table=psql.Identifier("_otel", table),
        stage=psql.Identifier(f"stage_{table}"),
        columns=psql.SQL(", ").join(map(psql.Identifier, columns)),
    )
