"""Gets the ids of resources, scopes, metrics and series from the database, inserting what is missing.

These rows are committed before the rows that refer to them: an unreferenced row does no harm, and a committed id can be
cached, because no rollback can remove it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, LiteralString, NamedTuple, TypeVar
from uuid import UUID

import psycopg

from otelgres.exporters.postgres.cardinality import (
    RESOURCES,
    SERIES,
    CardinalityLimiter,
    overflow_resource,
    overflow_series,
)
from otelgres.exporters.postgres.codec.dimensions import Known, Missing, ResourceRow, SeriesKey, SeriesRow
from otelgres.sql.queries import query

_Key = TypeVar("_Key")
_Row = TypeVar("_Row", ResourceRow, SeriesRow)

# Rows per statement: limits the parameters of one statement to a few megabytes.
_CHUNK = 2000


class Overflowed(NamedTuple):
    """The keys of one kind that are beyond the limit; for this minute they map to the id of an overflow row."""

    kind: str
    keys: list[Any]


def resolve(
    connection: psycopg.Connection[Any], missing: Missing, known: Known, guard: CardinalityLimiter
) -> Overflowed:
    """Adds the id of every missing resource, scope and metric to ``known``; returns the resources beyond the limit."""
    resources, beyond = _within(connection, RESOURCES, missing.resources, guard, lambda _, row: overflow_resource(row))
    _resolve(connection, "resource_ids", resources, known.resources)
    _resolve(connection, "scope_ids", missing.scopes, known.scopes)
    _resolve(connection, "metric_ids", missing.metrics, known.metrics)
    return Overflowed("resource_overflow", beyond)


def resolve_series(
    connection: psycopg.Connection[Any], rows: Mapping[SeriesKey, SeriesRow], known: Known, guard: CardinalityLimiter
) -> Overflowed:
    """Adds the id of every series to ``known``; returns those beyond the limit."""
    within, beyond = _within(connection, SERIES, rows, guard, lambda key, _: overflow_series(key))
    _resolve(connection, "series_ids", within, known.series)
    return Overflowed("series_overflow", beyond)


def _within(
    connection: psycopg.Connection[Any],
    kind: LiteralString,
    rows: Mapping[_Key, _Row],
    guard: CardinalityLimiter,
    overflow: Callable[[_Key, _Row], _Row],
) -> tuple[Mapping[_Key, _Row], list[_Key]]:
    """The rows, with new ones beyond the limit replaced by their overflow row; and the keys of the replaced ones."""
    if not rows or not guard.limits(kind):
        return rows, []
    hashes = {row.hash for row in rows.values()}
    stored = {row[0] for row in connection.execute(query(f"known_{kind}"), {"hash": list(hashes)}).fetchall()}
    new = hashes - stored
    room = guard.take(kind, len(new))
    if room >= len(new):
        return rows, []
    created = set(sorted(new)[:room])
    beyond = [key for key, row in rows.items() if row.hash in new and row.hash not in created]
    replaced = dict(rows)
    for key in beyond:
        replaced[key] = overflow(key, rows[key])
    return replaced, beyond


def _resolve(connection: psycopg.Connection[Any], name: str, rows: Mapping[_Key, Any], ids: dict[_Key, int]) -> None:
    # Several keys may have the same content: the same attributes in a different order.
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
        # A row that another session committed after our snapshot is in neither half of the query: repeat it.
        if None not in found.values():
            return found
