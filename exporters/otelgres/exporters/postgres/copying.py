"""Writes rows on a connection: by COPY or, if some may be stored already, through a staging table."""

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg import sql as psql

from otelgres.exporters.postgres.codec.decode import KEYS
from otelgres.exporters.postgres.codec.rows import Group, LossEntry

# The tenant of a row of a staging table ``s``.
_OWN_TENANT: Final = "coalesce(s.tenant_id, 0)"
_SERIES_TENANT: Final = (
    "(SELECT r.tenant_id FROM _otel.series e JOIN _otel.resources r ON r.id = e.resource_id WHERE e.id = s.series_id)"
)


def copy(cursor: psycopg.Cursor[Any], table: str, columns: Sequence[str], rows: list[bytes]) -> None:
    """Copies COPY BINARY ``rows`` into a table of schema _otel. Raises psycopg.Error, also if a row is stored."""
    with cursor.copy(_statement("COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)", table, columns)) as copy:
        copy.write(b"".join(rows))


def stage(cursor: psycopg.Cursor[Any], table: str, columns: Sequence[str], rows: list[bytes], group: Group) -> int:
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
    with cursor.copy(_statement("COPY {stage} ({columns}) FROM STDIN (FORMAT BINARY)", table, columns)) as copy:
        copy.write(b"".join(rows))
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
                "SELECT {tenant_id}, count(*) FROM {stage} s "
                "CROSS JOIN LATERAL (SELECT * FROM {table} t WHERE {same_key} LIMIT 1) t "
                "WHERE ({new}) IS DISTINCT FROM ({stored}) GROUP BY 1"
            ).format(
                table=psql.Identifier("_otel", table),
                stage=psql.Identifier(f"stage_{table}"),
                tenant_id=psql.SQL(_OWN_TENANT if "tenant_id" in columns else _SERIES_TENANT),
                same_key=psql.SQL(" AND ").join(
                    psql.SQL("{} = {}").format(psql.Identifier("s", column), psql.Identifier("t", column))
                    for column in KEYS[table]
                ),
                new=psql.SQL(", ").join(psql.Identifier("s", column) for column in columns),
                stored=psql.SQL(", ").join(psql.Identifier("t", column) for column in columns),
            )
        )
        for tenant_id, count in cursor.fetchall():
            group.losses.add(LossEntry("dropped", table, "same_key_other_content", tenant_id), count)
    return duplicates


def _statement(template: str, table: str, columns: Sequence[str]) -> psql.Composed:
    return psql.SQL(template).format(
        table=psql.Identifier("_otel", table),
        stage=psql.Identifier(f"stage_{table}"),
        columns=psql.SQL(", ").join(map(psql.Identifier, columns)),
    )
