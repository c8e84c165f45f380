"""Ids of resources, scopes, metrics and series from the database. Refuses to know how their rows are made from bytes.

Rows are added in transactions of their own, before the rows that point at them: a row that nobody points at harms
nobody, and an id that was seen committed can be cached without fear of a rollback.
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

# Rows a statement: keeps the parameters of one statement to a few megabytes.
_CHUNK = 2000


class Overflowed(NamedTuple):
    """How many series and resources were too many, and the keys under which their ids are known for this minute."""

    kind: str
    keys: list[Any]


def resolve(
    connection: psycopg.Connection[Any], missing: Missing, known: Known, guard: CardinalityLimiter
) -> Overflowed:
    """Gives every missing resource, scope and metric an id in ``known``; what resources were too many."""
    resources, beyond = _within(connection, RESOURCES, missing.resources, guard, lambda _, row: overflow_resource(row))
    _resolve(connection, "resource_ids", resources, known.resources)
    _resolve(connection, "scope_ids", missing.scopes, known.scopes)
    _resolve(connection, "metric_ids", missing.metrics, known.metrics)
    return Overflowed("resource_overflow", beyond)


def resolve_series(
    connection: psycopg.Connection[Any], rows: Mapping[SeriesKey, SeriesRow], known: Known, guard: CardinalityLimiter
) -> Overflowed:
    """Gives every series an id in ``known``; which were too many."""
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
    """The rows, those that are new and too many replaced by their overflow; and the keys of those."""
    if not rows or not guard.limits(kind):
        return rows, []
    hashes = {row.hash for row in rows.values()}
    stored = {row[0] for row in connection.execute(query(f"known_{kind}"), {"hash": list(hashes)}).fetchall()}
    new = hashes - stored
    room = guard.take(kind, len(new))
    if room >= len(new):
        return rows, []
    made = set(sorted(new)[:room])
    beyond = [key for key, row in rows.items() if row.hash in new and row.hash not in made]
    replaced = dict(rows)
    for key in beyond:
        replaced[key] = overflow(key, rows[key])
    return replaced, beyond


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
