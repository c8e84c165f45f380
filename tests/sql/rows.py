"""Rows for the tests of the SQL surface, inserted plainly; partitions are made for whatever days they lie in.

It does not use OTLP or the codec: only SQL is tested here.
"""

import dataclasses
import itertools
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

Connection = psycopg.Connection[tuple[Any, ...]]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = 1_000_000  # nanoseconds
# A Wednesday noon: neither near midnight nor near the change of weeks.
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
FLOW, PHASE, CHECKPOINT = 1, 2, 3
UNSPECIFIED, INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(6)

# What needs a partition before spans can be stored.
SPAN_TABLES = ("spans", "span_stats", "flow_parts")

_span_ids = itertools.count(1)


def unix_nano(at: datetime) -> int:
    """Nanoseconds since 1970."""
    return (at - EPOCH) // timedelta(microseconds=1) * 1000


def span_id(number: int) -> bytes:
    """A span id that is readable in a failure."""
    return number.to_bytes(8)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Span:
    """A row of _otel.spans. ``start`` and ``end`` are nanoseconds since 1970."""

    start: int
    end: int
    trace: uuid.UUID
    id: bytes = dataclasses.field(default_factory=lambda: span_id(next(_span_ids)))
    parent: bytes | None = None
    name: str = "work"
    kind: int = INTERNAL
    status: int | None = None
    message: str | None = None
    role: int | None = None
    service: str = "shop"
    flags: int = 0
    trace_state: str | None = None
    attributes: dict[str, Any] | None = None
    events: list[Any] | None = None
    links: list[Any] | None = None
    dropped: tuple[int, int, int] = (0, 0, 0)
    start_time: datetime | None = None  # where it is stored, if that does not follow from `start`

    @property
    def stored(self) -> datetime:
        return self.start_time or EPOCH + timedelta(microseconds=self.start // 1000)


def insert(connection: Connection, spans: Iterable[Span], *, again: bool = False) -> None:
    """Insert spans by one statement. With ``again`` those that are there already are passed over."""
    spans = list(spans)
    resources = {name: resource(connection, name) for name in sorted({span.service for span in spans})}
    scope_id = scope(connection)
    make_partitions(connection, {span.stored for span in spans}, *SPAN_TABLES)
    columns = (
        "start_time, start_time_unix_nano, end_time_unix_nano, trace_id, resource_id, scope_id, flags, kind, "
        "status_code, dropped_attributes_count, dropped_events_count, dropped_links_count, role, span_id, "
        "parent_span_id, name, status_message, trace_state, attributes, events, links"
    )
    values: list[Any] = []
    for s in spans:
        values += [s.stored, s.start, s.end, s.trace, resources[s.service], scope_id, s.flags, s.kind, s.status]
        values += [*s.dropped, s.role, s.id, s.parent, s.name, s.message, s.trace_state]
        values += [None if value is None else Jsonb(value) for value in (s.attributes, s.events, s.links)]
    row = f"({', '.join(['%s'] * 21)})"
    connection.execute(
        f"INSERT INTO _otel.spans ({columns}) VALUES {', '.join([row] * len(spans))}".encode()
        + (b" ON CONFLICT DO NOTHING" if again else b""),
        values,
    )


def resource(connection: Connection, service: str, **attributes: Any) -> int:
    """The id of a service's resource; it is made if it is not there."""
    content = {"service.name": service, **attributes}
    return _dimension(
        connection,
        "resources",
        uuid.uuid5(uuid.NAMESPACE_URL, repr(content)),
        service_name=service,
        attributes=Jsonb(content),
        dropped_attributes_count=0,
        schema_url="",
    )


def scope(connection: Connection) -> int:
    """The id of the one scope; it is made if it is not there."""
    return _dimension(
        connection,
        "scopes",
        uuid.uuid5(uuid.NAMESPACE_URL, "scope"),
        name="tests",
        version="1.2",
        attributes=Jsonb({"a": 1}),
        dropped_attributes_count=0,
        schema_url="",
    )


def series(
    connection: Connection,
    metric: str,
    kind: int,
    *,
    service: str = "shop",
    temporality: int | None = None,
    monotonic: bool | None = None,
    attributes: dict[str, Any] | None = None,
) -> int:
    """The id of a new series of a new metric; ``kind`` is the number of the data field in OTLP's Metric."""
    metric_id = _dimension(
        connection,
        "metrics",
        uuid.uuid5(uuid.NAMESPACE_URL, metric),
        name=metric,
        description=f"about {metric}",
        unit="ms",
        type=kind,
        temporality=temporality,
        is_monotonic=monotonic,
        metadata=Jsonb({}),
    )
    return _dimension(
        connection,
        "series",
        uuid.uuid5(uuid.NAMESPACE_URL, f"{metric} {service} {attributes}"),
        metric_id=metric_id,
        resource_id=resource(connection, service),
        scope_id=scope(connection),
        attributes=Jsonb(attributes or {}),
    )


def put(connection: Connection, table: str, **values: Any) -> None:
    """Insert one row into a table of schema _otel, into a partition made for its ``time``."""
    make_partitions(connection, {values["time"]}, table)
    _insert(connection, table, values)


def make_partitions(connection: Connection, times: Iterable[datetime], *tables: str) -> None:
    """Make sure that each table has a partition for each time."""
    for day in sorted({time.astimezone(UTC).date() for time in times}):
        for table in tables:
            connection.execute(
                "SELECT _otel.make_partition(%s, %s)", (table, datetime(*day.timetuple()[:3], tzinfo=UTC))
            )


def _dimension(connection: Connection, table: str, content_hash: uuid.UUID, **values: Any) -> int:
    query = f"SELECT id FROM _otel.{table} WHERE hash = %s".encode()
    row = connection.execute(query, (content_hash,)).fetchone()
    if row is None:
        _insert(connection, table, {"hash": content_hash, **values}, conflict=" ON CONFLICT DO NOTHING")
        row = connection.execute(query, (content_hash,)).fetchone()
    assert row is not None
    return int(row[0])


def _insert(connection: Connection, table: str, values: dict[str, Any], conflict: str = "") -> None:
    columns = ", ".join(values)
    marks = ", ".join(["%s"] * len(values))
    connection.execute(f"INSERT INTO _otel.{table} ({columns}) VALUES ({marks}){conflict}".encode(), [*values.values()])
