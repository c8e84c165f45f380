"""Rows onto a connection: by COPY, or by way of a staging table where some of them may be there already.

Refuses to know where rows come from and what happens when it fails.
"""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql as psql

from otelgres.exporters.postgres.codec.decode import KEYS
from otelgres.exporters.postgres.codec.rows import Entry, Group


def copy(cursor: psycopg.Cursor[Any], table: str, columns: Sequence[str], rows: list[bytes]) -> None:
    """Rows of COPY BINARY into a table of schema _otel. Raises psycopg.Error, for one that is there already too."""
    with cursor.copy(_statement("COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)", table, columns)) as copy:
        copy.write(b"".join(rows))


def stage(cursor: psycopg.Cursor[Any], table: str, columns: Sequence[str], rows: list[bytes], group: Group) -> int:
    """Writes what is not stored yet; returns how many rows were. One with a stored key but other content is a loss."""
    cursor.execute(
        _statement(
            "CREATE TEMP TABLE IF NOT EXISTS {stage} (LIKE {table} INCLUDING DEFAULTS) ON COMMIT DELETE ROWS",
            table,
            columns,
        )
    )
    with cursor.copy(_statement("COPY {stage} ({columns}) FROM STDIN (FORMAT BINARY)", table, columns)) as copy:
        copy.write(b"".join(rows))
    cursor.execute(
        _statement(
            "INSERT INTO {table} ({columns}) SELECT {columns} FROM {stage} ON CONFLICT DO NOTHING", table, columns
        )
    )
    duplicates = group.counts[table] - cursor.rowcount
    if duplicates:
        # LIMIT makes it look each key up by its index. A join may read whole partitions, and is what the planner takes
        # while a new partition has no statistics.
        cursor.execute(
            psql.SQL(
                "SELECT count(*) FROM {stage} s "
                "CROSS JOIN LATERAL (SELECT * FROM {table} t WHERE {same_key} LIMIT 1) t "
                "WHERE ({ours}) IS DISTINCT FROM ({theirs})"
            ).format(
                table=psql.Identifier("_otel", table),
                stage=psql.Identifier(f"stage_{table}"),
                same_key=psql.SQL(" AND ").join(
                    psql.SQL("{} = {}").format(psql.Identifier("s", column), psql.Identifier("t", column))
                    for column in KEYS[table]
                ),
                ours=psql.SQL(", ").join(psql.Identifier("s", column) for column in columns),
                theirs=psql.SQL(", ").join(psql.Identifier("t", column) for column in columns),
            )
        )
        row = cursor.fetchone()
        if row and row[0]:
            group.ledger.add(Entry("dropped", table, "same_key_other_content"), row[0])
    return duplicates


def _statement(template: str, table: str, columns: Sequence[str]) -> psql.Composed:
    return psql.SQL(template).format(
        table=psql.Identifier("_otel", table),
        stage=psql.Identifier(f"stage_{table}"),
        columns=psql.SQL(", ").join(map(psql.Identifier, columns)),
    )
