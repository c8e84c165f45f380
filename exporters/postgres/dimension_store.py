"""Ids of resources, scopes, metrics and series from the database. Refuses to know how their rows are made from bytes.

Rows are added in transactions of their own, before the rows that point at them: a row that nobody points at harms
nobody, and an id that was seen committed can be cached without fear of a rollback.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import psycopg

from exporters.postgres.codec.dimensions import Known, Missing, SeriesKey, SeriesRow
from sql.queries import query

_Key = TypeVar("_Key")

# Rows a statement: keeps the parameters of one statement to a few megabytes.
_CHUNK = 2000


def resolve(connection: psycopg.Connection[Any], missing: Missing, known: Known) -> None:
    """Gives every missing resource, scope and metric an id in ``known``."""
    _resolve(connection, "resource_ids", missing.resources, known.resources)
    _resolve(connection, "scope_ids", missing.scopes, known.scopes)
    _resolve(connection, "metric_ids", missing.metrics, known.metrics)


def resolve_series(connection: psycopg.Connection[Any], rows: Mapping[SeriesKey, SeriesRow], known: Known) -> None:
    """Gives every series an id in ``known``."""
    _resolve(connection, "series_ids", rows, known.series)


def _resolve(connection: psycopg.Connection[Any], name: str, rows: Mapping[_Key, Any], ids: dict[_Key, int]) -> None:
    # Several keys may be one content: the same attributes in another order.
    by_hash = {row.hash: row for row in rows.values()}
    found: dict[UUID, int] = {}
    distinct = list(by_hash.values())
    for start in range(0, len(distinct), _CHUNK):
        found |= _ids(connection, name, distinct[start : start + _CHUNK])
    for key, row in rows.items():
        ids[key] = found[row.hash]


def _ids(connection: psycopg.Connection[Any], name: str, rows: Sequence[Any]) -> dict[UUID, int]:
    parameters = {column: list(values) for column, values in zip(rows[0]._fields, zip(*rows, strict=True), strict=True)}
    while True:
        found = dict(connection.execute(query(name), parameters).fetchall())
        # A row that another session added after our snapshot is in neither half of the query: ask once more.
        if None not in found.values():
            return found
