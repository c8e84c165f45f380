"""Metric points to rows of the four point tables. Has no connection."""

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from otelgres.exporters.batch import Signal
from otelgres.exporters.postgres.codec import copybinary as pg
from otelgres.exporters.postgres.codec.anyvalue import Repairs, double_json
from otelgres.exporters.postgres.codec.dimensions import framed, metric_key_of, series_row
from otelgres.exporters.postgres.codec.known import Known, SeriesKey
from otelgres.exporters.postgres.codec.messages import HistogramDataPoint, NumberDataPoint
from otelgres.exporters.postgres.codec.points import SeriesGet, add_histograms, add_numbers
from otelgres.exporters.postgres.codec.rows import (
    MAX_INT8,
    NS_PER_DAY,
    OUT_OF_RANGE_DAY,
    OUT_OF_RANGE_TIME,
    Bounds,
    Caches,
    Group,
    LossEntry,
    RejectedItems,
    clamped,
    repaired_field,
    wrapped,
)

_POINT: Final = ("time", "time_unix_nano", "start_time_unix_nano", "flags", "series_id")
COLUMNS: Final = {
    "number_points": (*_POINT, "value_double", "value_int", "exemplars", "repaired"),
    "histogram_points": (
        *_POINT,
        "count",
        "sum",
        "min",
        "max",
        "bucket_counts",
        "explicit_bounds",
        "exemplars",
        "repaired",
    ),
    "exponential_histogram_points": (
        *_POINT,
        "count",
        "sum",
        "min",
        "max",
        "scale",
        "zero_count",
        "zero_threshold",
        "positive_offset",
        "positive_counts",
        "negative_offset",
        "negative_counts",
        "exemplars",
        "repaired",
    ),
    "summary_points": (*_POINT, "count", "sum", "quantiles", "quantile_values", "repaired"),
}
_NO_RECORDED_VALUE: Final = 1
_HEAD = struct.Struct(">h iq iq iq iq".replace(" ", "")).pack
_HEAD_SERIES = struct.Struct(">h iq iq iq iq iq".replace(" ", "")).pack
_Fields: TypeAlias = Callable[[Any, Caches, dict[str, bytes], Repairs], tuple[bytes, ...] | str]
_AddUsual: TypeAlias = Callable[
    [Sequence[bytes], tuple[int, int, int], SeriesGet, Bounds, list[bytes], set[int]], list[bytes]
]


def add_metrics(request: Any, known: Known, caches: Caches, group: Group) -> RejectedItems:
    """Adds the rows of one parsed request to the group. After a ``MalformedError`` the caller must rewind the group.

    The series_id of a point whose series has no id yet is filled in later: see ``Group.pending``.
    """
    rejected_items = RejectedItems()
    repairs = Repairs()
    out_of_range = tenant_id = 0
    for resource_metrics in request.resource_metrics:
        resource = (resource_metrics.resource, resource_metrics.schema_url)
        resource_id = known.resources[resource]
        before, (tenant, tenant_id) = tenant_id, known.tenant(resource)
        if tenant_id != before:
            group.add_losses(Signal.METRICS, before, repairs, out_of_range)
            out_of_range, repairs = 0, Repairs()
        for scope_metrics in resource_metrics.scope_metrics:
            scope_id = known.scopes[scope_metrics.scope, scope_metrics.schema_url, tenant]
            for metric in scope_metrics.metrics:
                key = metric_key_of(metric, tenant)
                if key is None:
                    rejected_items.add("the metric has no data of a known type", tenant_id)
                    continue
                kind = _KINDS[key.type]
                stream = (known.metrics[key], resource_id, scope_id)
                points = getattr(metric, kind.data).data_points
                if kind.add_usual is not None:
                    parts, days = group.table(kind.table)
                    others = kind.add_usual(points, stream, known.series.get, group.bounds, parts, days)
                    group.counts[kind.table] += len(points) - len(others)
                    points = map(kind.message.FromString, others)
                out_of_range += _add_points(
                    points, kind, stream, tenant_id, known, caches, group, rejected_items, repairs
                )
    group.add_losses(Signal.METRICS, tenant_id, repairs, out_of_range)
    for (owner, reason), number in rejected_items.by_tenant.items():
        group.losses.add(LossEntry("refused", Signal.METRICS, "invalid_data_point", owner), number, reason)
    return rejected_items


def _add_points(
    points: Iterable[Any],
    kind: "_Kind",
    stream: tuple[int, int, int],
    tenant_id: int,
    known: Known,
    caches: Caches,
    group: Group,
    rejected_items: RejectedItems,
    repairs: Repairs,
) -> int:
    """Adds the rows of lazy messages; returns the number of times that are out of bounds."""
    table, fields_of = kind.table, kind.fields
    width = len(COLUMNS[table])
    parts, days = group.table(table)
    earliest, latest, _ = group.bounds
    out_of_range = 0
    for point in points:
        at = point.time_unix_nano
        if not at:
            rejected_items.add("time_unix_nano is 0", tenant_id)
            continue
        repaired: dict[str, bytes] = {}
        columns = fields_of(point, caches, repaired, repairs)
        if isinstance(columns, str):
            rejected_items.add(columns, tenant_id)
            continue
        if earliest <= at < latest:
            time = at // 1000 - pg.PG_EPOCH_US
            days.add(at // NS_PER_DAY)
        else:
            time = OUT_OF_RANGE_TIME
            days.add(OUT_OF_RANGE_DAY)
            out_of_range += 1
            at = wrapped(at, "time_unix_nano", repaired, repairs)
        start = point.start_time_unix_nano
        if start > MAX_INT8:
            start = wrapped(start, "start_time_unix_nano", repaired, repairs)
        series = SeriesKey(*stream, framed(kind.attributes_tag, point.attributes))
        series_id = known.series.get(series)
        if series_id is None:
            parts.append(_HEAD(width, 8, time, 8, at, 8, start, 8, point.flags))
            if series not in group.new_series:
                repairs_of = group.series_repairs[tenant_id]
                group.new_series[series] = series_row(series, tenant_id, repairs_of, caches.attributes)
            group.pending.append((table, len(parts), series))
            parts.append(b"")
        else:
            parts.append(_HEAD_SERIES(width, 8, time, 8, at, 8, start, 8, point.flags, 8, series_id))
        parts.extend(columns)
        parts.append(repaired_field(repaired) if repaired else pg.NULL)
        group.counts[table] += 1
    return out_of_range


def _number(point: Any, caches: Caches, repaired: dict[str, bytes], repairs: Repairs) -> tuple[bytes, ...] | str:
    exemplars = _exemplars(point.exemplars, caches, repairs)
    if point.HasField("as_int"):
        return pg.NULL, pg.int8(point.as_int), exemplars
    if point.HasField("as_double"):
        return pg.float8(point.as_double), pg.NULL, exemplars
    if point.flags & _NO_RECORDED_VALUE:
        return pg.NULL, pg.NULL, exemplars
    return "the point has neither a value nor the flag NO_RECORDED_VALUE"


def _histogram(point: Any, caches: Caches, repaired: dict[str, bytes], repairs: Repairs) -> tuple[bytes, ...] | str:
    counts, bounds = point.bucket_counts, point.explicit_bounds
    if len(counts) != len(bounds) + 1 and (counts or bounds):
        return f"{len(counts)} bucket_counts do not fit {len(bounds)} explicit_bounds"
    return (
        *_distribution(point, repaired, repairs),
        _counts(counts, "bucket_counts", repaired, repairs) if counts else pg.NULL,
        pg.float8_array(bounds) if bounds else pg.NULL,
        _exemplars(point.exemplars, caches, repairs),
    )


def _exponential(point: Any, caches: Caches, repaired: dict[str, bytes], repairs: Repairs) -> tuple[bytes, ...] | str:
    return (
        *_distribution(point, repaired, repairs),
        pg.int4(point.scale),
        pg.int8(clamped(point.zero_count, "zero_count", repaired, repairs)),
        pg.float8(point.zero_threshold),
        *_buckets(point, "positive", repaired, repairs),
        *_buckets(point, "negative", repaired, repairs),
        _exemplars(point.exemplars, caches, repairs),
    )


def _summary(point: Any, caches: Caches, repaired: dict[str, bytes], repairs: Repairs) -> tuple[bytes, ...] | str:
    values = point.quantile_values
    return (
        pg.int8(clamped(point.count, "count", repaired, repairs)),
        pg.float8(point.sum),
        pg.float8_array([value.quantile for value in values]) if values else pg.NULL,
        pg.float8_array([value.value for value in values]) if values else pg.NULL,
    )


def _distribution(point: Any, repaired: dict[str, bytes], repairs: Repairs) -> tuple[bytes, bytes, bytes, bytes]:
    return (
        pg.int8(clamped(point.count, "count", repaired, repairs)),
        pg.float8(point.sum) if point.HasField("sum") else pg.NULL,
        pg.float8(point.min) if point.HasField("min") else pg.NULL,
        pg.float8(point.max) if point.HasField("max") else pg.NULL,
    )


def _buckets(point: Any, name: str, repaired: dict[str, bytes], repairs: Repairs) -> tuple[bytes, bytes]:
    if not point.HasField(name):
        return pg.NULL, pg.NULL
    buckets = getattr(point, name)
    return pg.int4(buckets.offset), _counts(buckets.bucket_counts, f"{name}_counts", repaired, repairs)


def _counts(values: Any, name: str, repaired: dict[str, bytes], repairs: Repairs) -> bytes:
    if max(values, default=0) > MAX_INT8:
        repaired[name] = b"[" + b",".join([b"%d" % value for value in values]) + b"]"
        repairs["beyond_int64"] += 1
        values = [min(value, MAX_INT8) for value in values]
    return pg.int8_array(values)


def _exemplars(exemplars: Any, caches: Caches, repairs: Repairs) -> bytes:
    if not exemplars:
        return pg.NULL
    items = []
    for exemplar in exemplars:
        item = b'{"time_unix_nano":%d' % exemplar.time_unix_nano
        if exemplar.HasField("as_int"):
            item += b',"value_int":%d' % exemplar.as_int
        elif exemplar.HasField("as_double"):
            item += b',"value":' + double_json(exemplar.as_double, repairs)
        if exemplar.trace_id:
            item += b',"trace_id":"%s"' % exemplar.trace_id.hex().encode()
        if exemplar.span_id:
            item += b',"span_id":"%s"' % exemplar.span_id.hex().encode()
        if exemplar.filtered_attributes:
            item += b',"filtered_attributes":' + caches.attributes.object(exemplar.filtered_attributes, repairs)[0]
        items.append(item + b"}")
    return pg.jsonb(b"[" + b",".join(items) + b"]")


class _Kind(NamedTuple):
    """A kind of points: its data field in Metric, its table and its functions."""

    data: str
    table: str
    fields: _Fields
    attributes_tag: bytes
    # The fast path for points in the usual encoding, and the message type of the others; None if there is no fast path.
    add_usual: _AddUsual | None = None
    message: Any = None


# By the field number in Metric.
_KINDS: Final = {
    5: _Kind("gauge", "number_points", _number, b"\x3a", add_numbers, NumberDataPoint),
    7: _Kind("sum", "number_points", _number, b"\x3a", add_numbers, NumberDataPoint),
    9: _Kind("histogram", "histogram_points", _histogram, b"\x4a", add_histograms, HistogramDataPoint),
    10: _Kind("exponential_histogram", "exponential_histogram_points", _exponential, b"\x0a"),
    11: _Kind("summary", "summary_points", _summary, b"\x3a"),
}
