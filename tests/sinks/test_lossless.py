"""Every field that OTLP can carry has a column in a table or a written reason why not.

The fields come from opentelemetry-proto's own descriptors: a newer version with a field more fails here.
"""

import json
import struct
import time
from collections.abc import Iterable
from typing import Any, Final

import psycopg
import pytest

from otelgres.exporters.batch import Signal
from otelgres.exporters.postgres.codec import copybinary, messages
from otelgres.exporters.postgres.codec.decode import COLUMNS, add_rows, parse
from otelgres.exporters.postgres.codec.dimensions import MetricRow, Missing, ResourceRow, ScopeRow, SeriesRow
from otelgres.exporters.postgres.codec.known import Known
from otelgres.exporters.postgres.codec.rows import Bounds, Caches, Group
from tests import otlp_raw
from tests.unit.test_lazy import ORIGINALS

# The tables that hold dimensions, with the columns that are written.
DIMENSIONS: Final = {
    "resources": (*ResourceRow._fields[:-1], "tenant_id"),
    "scopes": ScopeRow._fields,
    "metrics": MetricRow._fields,
    "series": SeriesRow._fields[:-1],
}
POINTS: Final = ("number_points", "histogram_points", "exponential_histogram_points", "summary_points")


def _each(column: str, tables: Iterable[str] = POINTS) -> tuple[str, ...]:
    return tuple(f"{table}.{column}" for table in tables)


_ENVELOPE: Final = "an envelope: what is inside is stored, and how it was divided means nothing"
_PROFILES: Final = "profiles only: the specification says to treat it as absent elsewhere"
_IN_PARENT: Final = "part of a jsonb column of its parent: see the fields that hold it"

# Field -> the columns that hold it, or the reason for none. A name with a dot is table.column.
COLUMNS_OF: Final[dict[str, tuple[str, ...] | str]] = {
    "TracesRequest.resource_spans": _ENVELOPE,
    "ResourceSpans.resource": ("spans.resource_id",),
    "ResourceSpans.scope_spans": _ENVELOPE,
    "ResourceSpans.schema_url": ("resources.schema_url",),
    "ScopeSpans.scope": ("spans.scope_id",),
    "ScopeSpans.spans": _ENVELOPE,
    "ScopeSpans.schema_url": ("scopes.schema_url",),
    "Span.trace_id": ("spans.trace_id",),
    "Span.span_id": ("spans.span_id",),
    "Span.trace_state": ("spans.trace_state",),
    "Span.parent_span_id": ("spans.parent_span_id", "spans.repaired"),
    "Span.flags": ("spans.flags",),
    "Span.name": ("spans.name", "spans.repaired"),
    "Span.kind": ("spans.kind",),
    "Span.start_time_unix_nano": ("spans.start_time", "spans.start_time_unix_nano", "spans.repaired"),
    "Span.end_time_unix_nano": ("spans.end_time_unix_nano", "spans.repaired"),
    "Span.attributes": ("spans.attributes", "spans.role"),
    "Span.dropped_attributes_count": ("spans.dropped_attributes_count",),
    "Span.events": ("spans.events",),
    "Span.dropped_events_count": ("spans.dropped_events_count",),
    "Span.links": ("spans.links",),
    "Span.dropped_links_count": ("spans.dropped_links_count",),
    "Span.status": ("spans.status_code", "spans.status_message"),
    "Status.message": ("spans.status_message", "spans.repaired"),
    "Status.code": ("spans.status_code",),
    **dict.fromkeys(
        ("Event.time_unix_nano", "Event.name", "Event.attributes", "Event.dropped_attributes_count"), ("spans.events",)
    ),
    **dict.fromkeys(
        ("Link.trace_id", "Link.span_id", "Link.trace_state", "Link.attributes", "Link.dropped_attributes_count",
         "Link.flags"),
        ("spans.links",),
    ),
    "LogsRequest.resource_logs": _ENVELOPE,
    "ResourceLogs.resource": ("logs.resource_id",),
    "ResourceLogs.scope_logs": _ENVELOPE,
    "ResourceLogs.schema_url": ("resources.schema_url",),
    "ScopeLogs.scope": ("logs.scope_id",),
    "ScopeLogs.log_records": _ENVELOPE,
    "ScopeLogs.schema_url": ("scopes.schema_url",),
    "LogRecord.time_unix_nano": ("logs.time", "logs.time_unix_nano", "logs.repaired"),
    "LogRecord.observed_time_unix_nano": ("logs.observed_time_unix_nano", "logs.repaired"),
    "LogRecord.severity_number": ("logs.severity_number",),
    "LogRecord.severity_text": ("logs.severity_text", "logs.repaired"),
    "LogRecord.body": ("logs.body", "logs.body_value"),
    "LogRecord.attributes": ("logs.attributes", "logs.uid"),
    "LogRecord.dropped_attributes_count": ("logs.dropped_attributes_count",),
    "LogRecord.flags": ("logs.flags",),
    "LogRecord.trace_id": ("logs.trace_id", "logs.repaired"),
    "LogRecord.span_id": ("logs.span_id", "logs.repaired"),
    "LogRecord.event_name": ("logs.event_name", "logs.repaired"),
    "MetricsRequest.resource_metrics": _ENVELOPE,
    "ResourceMetrics.resource": ("series.resource_id",),
    "ResourceMetrics.scope_metrics": _ENVELOPE,
    "ResourceMetrics.schema_url": ("resources.schema_url",),
    "ScopeMetrics.scope": ("series.scope_id",),
    "ScopeMetrics.metrics": _ENVELOPE,
    "ScopeMetrics.schema_url": ("scopes.schema_url",),
    "Metric.name": ("metrics.name", "metrics.repaired"),
    "Metric.description": ("metrics.description", "metrics.repaired"),
    "Metric.unit": ("metrics.unit", "metrics.repaired"),
    **dict.fromkeys(
        ("Metric.gauge", "Metric.sum", "Metric.histogram", "Metric.exponential_histogram", "Metric.summary"),
        ("metrics.type", "series.metric_id"),
    ),
    "Metric.metadata": ("metrics.metadata",),
    **dict.fromkeys([f"{kind}.data_points" for kind in ("Gauge", "Sum")], ("number_points.series_id",)),
    "Histogram.data_points": ("histogram_points.series_id",),
    "ExponentialHistogram.data_points": ("exponential_histogram_points.series_id",),
    "Summary.data_points": ("summary_points.series_id",),
    **dict.fromkeys(
        [f"{kind}.aggregation_temporality" for kind in ("Sum", "Histogram", "ExponentialHistogram")],
        ("metrics.temporality",),
    ),
    "Sum.is_monotonic": ("metrics.is_monotonic",),
    **{
        f"{message}.{field}": (f"{table}.{field}",)
        for message, table in (
            ("NumberDataPoint", "number_points"),
            ("HistogramDataPoint", "histogram_points"),
            ("ExponentialHistogramDataPoint", "exponential_histogram_points"),
            ("SummaryDataPoint", "summary_points"),
        )
        for field in ("start_time_unix_nano", "time_unix_nano", "flags")
    },
    **dict.fromkeys(
        [f"{kind}DataPoint.attributes" for kind in ("Number", "Histogram", "ExponentialHistogram", "Summary")],
        ("series.attributes",),
    ),
    "NumberDataPoint.as_double": ("number_points.value_double",),
    "NumberDataPoint.as_int": ("number_points.value_int",),
    "NumberDataPoint.exemplars": ("number_points.exemplars",),
    **{
        f"HistogramDataPoint.{field}": (f"histogram_points.{field}",)
        for field in ("count", "sum", "min", "max", "bucket_counts", "explicit_bounds", "exemplars")
    },
    **{
        f"ExponentialHistogramDataPoint.{field}": (f"exponential_histogram_points.{field}",)
        for field in ("count", "sum", "min", "max", "scale", "zero_count", "zero_threshold", "exemplars")
    },
    "ExponentialHistogramDataPoint.positive": _each("positive_offset", POINTS[2:3]),
    "ExponentialHistogramDataPoint.negative": _each("negative_offset", POINTS[2:3]),
    "Buckets.offset": _each("positive_offset", POINTS[2:3]) + _each("negative_offset", POINTS[2:3]),
    "Buckets.bucket_counts": (
        *_each("positive_counts", POINTS[2:3]), *_each("negative_counts", POINTS[2:3]), *_each("repaired", POINTS[2:3])
    ),
    "SummaryDataPoint.count": ("summary_points.count",),
    "SummaryDataPoint.sum": ("summary_points.sum",),
    "SummaryDataPoint.quantile_values": ("summary_points.quantiles", "summary_points.quantile_values"),
    "ValueAtQuantile.quantile": ("summary_points.quantiles",),
    "ValueAtQuantile.value": ("summary_points.quantile_values",),
    **dict.fromkeys(
        [
            f"Exemplar.{field}"
            for field in ("filtered_attributes", "time_unix_nano", "as_double", "as_int", "span_id", "trace_id")
        ],
        _each("exemplars", POINTS[:3]),
    ),
    "Resource.attributes": ("resources.attributes", "resources.service_name"),
    "Resource.dropped_attributes_count": ("resources.dropped_attributes_count",),
    "Resource.entity_refs": ("resources.entity_refs",),
    **dict.fromkeys(
        [f"EntityRef.{field}" for field in ("schema_url", "type", "id_keys", "description_keys")],
        ("resources.entity_refs",),
    ),
    "InstrumentationScope.name": ("scopes.name", "scopes.repaired"),
    "InstrumentationScope.version": ("scopes.version", "scopes.repaired"),
    "InstrumentationScope.attributes": ("scopes.attributes",),
    "InstrumentationScope.dropped_attributes_count": ("scopes.dropped_attributes_count",),
    "KeyValue.key": _IN_PARENT,
    "KeyValue.value": _IN_PARENT,
    "KeyValue.key_strindex": _PROFILES,
    **dict.fromkeys(
        [
            f"AnyValue.{kind}_value"
            for kind in ("string", "bool", "int", "double", "array", "kvlist", "bytes")
        ],
        _IN_PARENT,
    ),
    "AnyValue.string_value_strindex": _PROFILES,
    "ArrayValue.values": _IN_PARENT,
    "KeyValueList.values": _IN_PARENT,
}  # fmt: skip

# Taken apart by offsets in ``anyvalue``, so there is no lazy message of them.
BY_OFFSETS: Final = ("KeyValue", "AnyValue", "ArrayValue", "KeyValueList")

# What the tables have beside what a sender said.
OURS: Final = {"received_at", "first_seen", "id"}


def test_every_field_has_a_column_or_a_reason() -> None:
    theirs = {f"{name}.{field.name}" for name, descriptor in ORIGINALS.items() for field in descriptor.fields}
    assert theirs == set(COLUMNS_OF)


def test_every_field_with_a_column_is_read() -> None:
    read = {f"{name}.{field}" for name, fields in messages.MESSAGES.items() for field, *_ in fields}
    expected = {name for name in COLUMNS_OF if name.partition(".")[0] not in BY_OFFSETS}
    assert read == expected


def test_every_named_column_is_written() -> None:
    written = {f"{table}.{column}" for table, columns in {**COLUMNS, **DIMENSIONS}.items() for column in columns}
    columns = {column for place in COLUMNS_OF.values() if isinstance(place, tuple) for column in place}
    assert columns <= written


@pytest.fixture
def connection(database: str) -> Any:
    with psycopg.connect(database, autocommit=True) as open_connection:
        yield open_connection


def _columns(connection: psycopg.Connection[Any], table: str) -> dict[str, tuple[str, bool]]:
    rows = connection.execute(
        "SELECT column_name, udt_name, is_nullable = 'YES' FROM information_schema.columns "
        "WHERE table_schema = '_otel' AND table_name = %s",
        [table],
    ).fetchall()
    return {name: (kind, nullable) for name, kind, nullable in rows}


def test_columns_written_are_the_tables_columns(connection: psycopg.Connection[Any]) -> None:
    for table, columns in {**COLUMNS, **DIMENSIONS}.items():
        assert set(columns) == set(_columns(connection, table)) - OURS, table
        assert len(set(columns)) == len(columns)


def _binary_rows(parts: list[bytes]) -> list[list[bytes | None]]:
    data, at = b"".join(parts), 0
    rows = []
    while at < len(data):
        (width,) = struct.unpack_from(">h", data, at)
        at += 2
        row: list[bytes | None] = []
        for _ in range(width):
            (length,) = struct.unpack_from(">i", data, at)
            at += 4
            row.append(None if length < 0 else data[at : at + length])
            at += max(length, 0)
        rows.append(row)
    return rows


def _full_group() -> Group:
    """Rows in which every column has a value at least once."""
    now = time.time_ns()
    group = Group(Bounds(0, 1 << 63, now))
    for signal in Signal:
        request = otlp_raw.filled(signal, now)
        if signal is Signal.TRACES:
            request.resource_spans[0].scope_spans[0].spans[0].name = b"\0"
        elif signal is Signal.LOGS:
            records = request.resource_logs[0].scope_logs[0].log_records
            records.add(time_unix_nano=now, event_name=b"\0").body.int_value = 1
        else:
            for metric in request.resource_metrics[0].scope_metrics[0].metrics:
                for point in otlp_raw.points(metric):
                    point.start_time_unix_nano = (1 << 64) - 1
        otlp_raw.resources(request)[0].resource.attributes.append(otlp_raw.attribute("tenant.id", "t"))
        batch = otlp_raw.batch(request)
        known, missing = Known(), Missing()
        lazy_request = parse(batch, known, missing)
        known.resources |= dict.fromkeys(missing.resources, 1)
        known.scopes |= dict.fromkeys(missing.scopes, 1)
        known.tenant_ids |= dict.fromkeys(known.tenants.values(), 7)
        known.metrics |= {key: number for number, key in enumerate(missing.metrics)}
        assert add_rows(batch, lazy_request, known, Caches(), group).count == 0
    for table, place, _ in group.pending:
        group.parts[table][place] = copybinary.int8(1)
    return group


def test_rows_have_the_types_and_the_order_of_their_columns(connection: psycopg.Connection[Any]) -> None:
    sizes = {"timestamptz": 8, "int8": 8, "int4": 4, "int2": 2, "float8": 8, "uuid": 16}
    group = _full_group()
    for table, columns in COLUMNS.items():
        types = _columns(connection, table)
        rows = _binary_rows(group.parts[table])
        assert len(rows) == group.counts[table]
        for place, column in enumerate(columns):
            kind, nullable = types[column]
            values = [row[place] for row in rows]
            assert any(value is not None for value in values), (table, column)
            assert nullable or None not in values, (table, column)
            for value in filter(None, values):
                if kind in sizes:
                    assert len(value) == sizes[kind], (table, column)
                elif kind == "jsonb":
                    assert value[0] == 1
                    json.loads(value[1:])
                elif kind.startswith("_"):
                    assert struct.unpack_from(">i", value, 8)[0] == {"_int8": 20, "_float8": 701}[kind]
                else:
                    assert kind in ("bytea", "text"), (table, column)
        assert all(len(row) == len(columns) for row in rows)


def test_each_table_has_one_unique_index(connection: psycopg.Connection[Any]) -> None:
    """``_otel.other_content`` looks rows up by its columns."""
    for table in COLUMNS:
        unique = connection.execute(
            "SELECT count(*) FROM pg_index i WHERE i.indrelid = ('_otel.' || %s)::regclass AND i.indisunique", [table]
        ).fetchone()
        assert unique == (1,)
