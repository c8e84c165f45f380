"""Gets the ids of tenants, resources, scopes, metrics and series from the database, inserting what is missing.

These rows are committed before the rows that refer to them: an unreferenced row does no harm, and a committed id can be
cached, because no rollback can remove it.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, LiteralString, NamedTuple, TypeVar
from uuid import UUID

import psycopg

from otelgres.exporters.postgres.cardinality import (
    METRICS,
    RESOURCES,
    SCOPES,
    SERIES,
    CardinalityLimiter,
    overflow_metric,
    overflow_resource,
    overflow_scope,
    overflow_series,
)
from otelgres.exporters.postgres.codec.dimensions import Missing, SeriesRow
from otelgres.exporters.postgres.codec.known import Known, SeriesKey
from otelgres.sql.queries import query

_Key = TypeVar("_Key")

# Rows per statement: limits the parameters of one statement to a few megabytes.
_CHUNK = 2000


class Overflowed(NamedTuple):
    """The keys of one kind that are beyond the limit, by tenant id; for this minute ``ids`` has the overflow row."""

    reason: str
    ids: dict[Any, int]
    keys: Mapping[int, Sequence[Any]]


def resolve(
    connection: psycopg.Connection[Any], missing: Missing, known: Known, guard: CardinalityLimiter
) -> list[Overflowed]:
    """Adds the id of every missing resource, scope and metric to ``known``; returns what is beyond the limits."""
    _resolve_tenants(connection, {row.tenant for row in missing.resources.values() if row.tenant}, known)
    tenant_id = known.tenant_ids.get
    resources, beyond = _within(
        connection, RESOURCES, missing.resources, lambda _, row: tenant_id(row.tenant, 0), guard, overflow_resource
    )
    _resolve(connection, RESOURCES, resources, known.resources)
    scopes, scopes_beyond = _within(
        connection, SCOPES, missing.scopes, lambda key, _: tenant_id(key[2], 0), guard, overflow_scope
    )
    _resolve(connection, SCOPES, scopes, known.scopes)
    metrics, metrics_beyond = _within(
        connection, METRICS, missing.metrics, lambda key, _: tenant_id(key.tenant, 0), guard, overflow_metric
    )
    _resolve(connection, METRICS, metrics, known.metrics)
    return [
        Overflowed("resource_overflow", known.resources, beyond),
        Overflowed("scope_overflow", known.scopes, scopes_beyond),
        Overflowed("metric_overflow", known.metrics, metrics_beyond),
    ]


def resolve_series(
    connection: psycopg.Connection[Any], rows: Mapping[SeriesKey, SeriesRow], known: Known, guard: CardinalityLimiter
) -> Overflowed:
    """Adds the id of every series to ``known``; returns those beyond the limit."""
    within, beyond = _within(connection, SERIES, rows, lambda _, row: row.tenant_id, guard, overflow_series)
    _resolve(connection, SERIES, within, known.series)
    return Overflowed("series_overflow", known.series, beyond)


def _resolve_tenants(connection: psycopg.Connection[Any], names: Iterable[str], known: Known) -> None:
    hashes = {
        UUID(bytes=hashlib.sha256(name.encode()).digest()[:16]): name for name in names if name not in known.tenant_ids
    }
    given: dict[str, list[Any]] = {"hash": list(hashes), "name": list(hashes.values())}
    known.tenant_ids |= {hashes[found]: number for found, number in _ids(connection, "tenant_ids", given).items()}


def _within(
    connection: psycopg.Connection[Any],
    kind: LiteralString,
    rows: Mapping[_Key, Any],
    tenant_of: Callable[[_Key, Any], int],
    guard: CardinalityLimiter,
    overflow: Callable[[_Key, Any], Any],
) -> tuple[Mapping[_Key, Any], dict[int, list[_Key]]]:
    """The rows, with new ones beyond the limit replaced by their overflow row; and the replaced keys by tenant id."""
    if not rows or not guard.limits(kind):
        return rows, {}
    hashes = {row.hash for row in rows.values()}
    stored = {row[0] for row in connection.execute(query(f"known_{kind}"), {"hash": list(hashes)}).fetchall()}
    new: defaultdict[int, set[UUID]] = defaultdict(set)
    for key, row in rows.items():
        if row.hash not in stored:
            new[tenant_of(key, row)].add(row.hash)
    created: set[UUID] = set()
    for tenant_id, wanted in new.items():
        wanted -= created
        created.update(sorted(wanted)[: guard.take(kind, tenant_id, len(wanted))])
    replaced = dict(rows)
    beyond: defaultdict[int, list[_Key]] = defaultdict(list)
    for key, row in rows.items():
        if row.hash not in stored and row.hash not in created:
            beyond[tenant_of(key, row)].append(key)
            replaced[key] = overflow(key, row)
    return replaced, beyond


def _resolve(
    connection: psycopg.Connection[Any], name: LiteralString, rows: Mapping[_Key, Any], ids: dict[_Key, int]
) -> None:
    # Several keys may have the same content: the same attributes in a different order.
    by_hash = {row.hash: row for row in rows.values()}
    found: dict[UUID, int] = {}
    distinct = list(by_hash.values())
    for start in range(0, len(distinct), _CHUNK):
        chunk = distinct[start : start + _CHUNK]
        columns = zip(*chunk, strict=True)
        found |= _ids(connection, name, dict(zip(chunk[0]._fields, map(list, columns), strict=True)))
    for key, row in rows.items():
        ids[key] = found[row.hash]


def _ids(
    connection: psycopg.Connection[Any], name: LiteralString, parameters: Mapping[str, list[Any]]
) -> dict[UUID, int]:
    while parameters["hash"]:
        found = dict(connection.execute(query(name), parameters).fetchall())
        # A row that another session committed after our snapshot is in neither half of the query: repeat it.
        if None not in found.values():
            return found
    return {}
