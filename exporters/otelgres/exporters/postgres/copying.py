"""Writes rows on a connection: by COPY or, if some may be stored already, through a staging table."""

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg import sql as psql

from otelgres.exporters.postgres.codec.decode import COLUMNS, KEYS
from otelgres.exporters.postgres.codec.rows import Group, LossEntry


def copy(cursor: psycopg.Cursor[Any], table: str, columns: Sequence[str], rows: Iterable[bytes]) -> None:
    """Copies COPY BINARY ``rows`` into a table of schema _otel. Raises psycopg.Error, also if a row is stored."""
    with cursor.copy(_statement("COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)", table, columns)) as copy:
        for piece in rows:
            copy.write(piece)


def stage(cursor: psycopg.Cursor[Any], table: str, columns: Sequence[str], rows: Iterable[bytes], group: Group) -> int:
    """Inserts the rows that are not stored yet and returns the number of duplicates.

    A row with a stored key but different content is counted as a loss in ``group.losses``.
    """
    cursor.execute(
        _statement(
            "CREATE TEMP TABLE IF NOT EXISTS {stage} (LIKE {table} INCLUDING DEFAULTS) ON COMMIT DELETE ROWS",
            table,
            columns,
        )
    )
    # It has the rows of the transaction's earlier parts, which would be looked up again for each part.
    cursor.execute(_statement("TRUNCATE {stage}", table, columns))
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
        # LIMIT forces an index lookup for each key. While a new partition has no statistics, the planner would choose
        # a join that reads whole partitions.
        cursor.execute(
            psql.SQL(
                "SELECT count(*) FROM {stage} s "
                "CROSS JOIN LATERAL (SELECT * FROM {table} t WHERE {same_key} LIMIT 1) t "
                "WHERE ({new}) IS DISTINCT FROM ({stored})"
            ).format(
                table=psql.Identifier("_otel", table),
                stage=psql.Identifier(f"stage_{table}"),
                same_key=psql.SQL(" AND ").join(
                    psql.SQL("{} = {}").format(psql.Identifier("s", column), psql.Identifier("t", column))
                    for column in KEYS[table]
                ),
                new=psql.SQL(", ").join(psql.Identifier("s", column) for column in columns),
                stored=psql.SQL(", ").join(psql.Identifier("t", column) for column in columns),
            )
        )
        row = cursor.fetchone()
        if row and row[0]:
            group.losses.add(LossEntry("dropped", table, "same_key_other_content"), row[0])
    return duplicates


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
