"""Points read by offsets make the rows that the same points make when they are read as messages.

A point of a series that is not known yet is always read as a message, so each request is read twice: with no series
known, and with all of its series known.
"""

import struct
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.postgres.codec import copybinary, points
from otelgres.exporters.postgres.codec.anyvalue import MalformedError, Repairs
from otelgres.exporters.postgres.codec.attributes import AttributeCache
from otelgres.exporters.postgres.codec.decode import add_rows, parse
from otelgres.exporters.postgres.codec.dimensions import Missing, framed, series_row
from otelgres.exporters.postgres.codec.known import Known, SeriesKey
from otelgres.exporters.postgres.codec.rows import Bounds, Caches, Group
from tests import otlp_raw as raw
from tests import otlp_strategies

_SETTINGS = settings(max_examples=80, deadline=None, database=None)
_NOW: Final = otlp_strategies.NOW
_BOUNDS: Final = Bounds(_NOW - 30 * 86_400_000_000_000, _NOW + 86_400_000_000_000, _NOW)


def _read(payload: bytes, known: Known) -> Any:
    """Everything that is to be stored and answered of a request, or why it is none; ``known`` learns its series."""
    group, missing = Group(_BOUNDS), Missing()
    batch = Batch(Signal.METRICS, payload)
    try:
        request = parse(batch, known, missing)
        _give_ids(known.resources, missing.resources)
        _give_ids(known.scopes, missing.scopes)
        _give_ids(known.metrics, missing.metrics)
        refusals = add_rows(batch, request, known, Caches(), group)
    except MalformedError as error:
        return str(error)
    _give_ids(known.series, group.new_series)
    for table, place, series in group.pending:
        group.parts[table][place] = copybinary.int8(known.series[series])
    rows = {table: Counter(_rows(b"".join(parts))) for table, parts in group.parts.items()}
    assert {table: found.total() for table, found in rows.items() if found} == +group.counts
    return rows, group.days, refusals, group.losses.counts


def _give_ids(ids: dict[Any, int], new: Iterable[Any]) -> None:
    for key in new:
        ids[key] = len(ids) + 1


def _rows(data: bytes) -> list[tuple[bytes | None, ...]]:
    found, at = [], 0
    while at < len(data):
        (width,) = struct.unpack_from(">h", data, at)
        at += 2
        row: list[bytes | None] = []
        for _ in range(width):
            (size,) = struct.unpack_from(">i", data, at)
            at += 4
            row.append(data[at : at + size] if size >= 0 else None)
            at += max(size, 0)
        found.append(tuple(row))
    return found


def _same_both_ways(payload: bytes, known: Known) -> None:
    as_messages = _read(payload, Known(known.resources, known.scopes, known.metrics, {}))
    _read(payload, known)  # now every series is known
    by_id = Known(known.resources, known.scopes, known.metrics, dict(known.series))
    again = _read(payload, by_id)
    if isinstance(as_messages, str) or isinstance(again, str):
        assert as_messages == again
        return
    assert by_id.series == known.series, "a series that is known was not found"
    assert _without_series(as_messages) == _without_series(again)
    assert _split_series(as_messages) == _split_series(again)


def _without_series(read: Any) -> Any:
    """As read, each row without the id of its series, which is the fifth column of every kind of point."""
    rows, *others = read
    return {table: Counter(row[:4] + row[5:] for row in found.elements()) for table, found in rows.items()}, *others


def _split_series(read: Any) -> Any:
    """Which rows are of one series, whatever its id."""
    by_series: dict[Any, Counter[Any]] = {}
    for table, found in read[0].items():
        for row in found.elements():
            by_series.setdefault((table, row[4]), Counter())[row[:4] + row[5:]] += 1
    return Counter(tuple(sorted(map(repr, rows.items()))) for rows in by_series.values())


@given(otlp_strategies.metrics_requests)
@_SETTINGS
def test_whatever_is_sent_makes_the_same_rows(request: Any) -> None:
    _same_both_ways(request.SerializeToString(), Known())


# Mostly usual: with every field unusual now and then, hardly any point would be read by offsets.
_uint64 = st.integers(0, 9).flatmap(lambda choice: otlp_strategies.uint64 if choice == 9 else st.integers(0, 2000))
_times = st.integers(0, 9).flatmap(lambda choice: otlp_strategies.times if choice == 9 else otlp_strategies.recent)
_tags = st.lists(st.builds(raw.attribute, st.sampled_from("abY"), st.sampled_from(["x", "", "a" * 18, 7])), max_size=3)
_usual_numbers = st.builds(
    lambda value, **fields: raw.NumberDataPoint(**value, **{name: at for name, at in fields.items() if at}),
    st.builds(lambda value: {"as_int": value}, otlp_strategies.int64)
    | st.builds(lambda value: {"as_double": value}, otlp_strategies.doubles),
    start_time_unix_nano=_times,
    time_unix_nano=_times,
    attributes=_tags,
)


@st.composite
def _usual_histograms(draw: st.DrawFn) -> Any:
    size = draw(st.sampled_from([0, 1, 2, 15, 16, 17, 40]))
    point = raw.HistogramDataPoint(
        start_time_unix_nano=draw(_times),
        time_unix_nano=draw(_times),
        count=draw(_uint64),
        sum=draw(otlp_strategies.doubles),
        bucket_counts=[draw(_uint64) for _ in range(min(size, 3))] + [5] * (size - 3),
        explicit_bounds=[draw(otlp_strategies.doubles)] * (size - 1),
        attributes=draw(_tags),
    )
    if draw(st.booleans()):
        point.min, point.max = draw(otlp_strategies.doubles), draw(otlp_strategies.doubles)
    return point


def _request(*data: Any) -> bytes:
    metrics = [
        raw.Metric(histogram=raw.Histogram(data_points=[point]))
        if isinstance(point, raw.HistogramDataPoint)
        else raw.Metric(gauge=raw.Gauge(data_points=[point]))
        for point in data
    ]
    scope = raw.ScopeMetrics(metrics=metrics)
    payload: bytes = raw.MetricsRequest(
        resource_metrics=[raw.ResourceMetrics(scope_metrics=[scope])]
    ).SerializeToString()
    return payload


@given(st.lists(_usual_numbers | _usual_histograms(), min_size=1, max_size=4))
@_SETTINGS
def test_usual_points_make_the_same_rows(data: list[Any]) -> None:
    _same_both_ways(_request(*data), Known())


@given(_usual_numbers | _usual_histograms(), st.data())
@_SETTINGS
def test_damaged_points_are_read_alike(point: Any, data: st.DataObject) -> None:
    known = Known()
    _read(_request(point), known)
    bytes_of_it = point.SerializeToString()
    at = data.draw(st.integers(0, max(0, len(bytes_of_it) - 1)))
    turned = bytes_of_it[:at] + data.draw(st.binary(max_size=2)) + bytes_of_it[at + 1 :]
    metric = raw.field(9 if isinstance(point, raw.HistogramDataPoint) else 5, raw.field(1, turned))
    payload = raw.field(1, raw.field(2, raw.field(2, metric)))
    _same_both_ways(payload, known)


def _usual(kind: Any, **fields: Any) -> bytes:
    payload: bytes = kind(time_unix_nano=_NOW, attributes=[raw.attribute("a", "b")], **fields).SerializeToString()
    return payload


_BUCKETS: Final = {"count": 3, "sum": 1.5, "bucket_counts": [1, 2], "explicit_bounds": [0.5]}
_LARGE: Final = 1 << 63


@pytest.mark.parametrize(
    "fields",
    [
        {"start_time_unix_nano": _LARGE},
        {"time_unix_nano": 1},
        {"time_unix_nano": 0},
        {"time_unix_nano": _LARGE},
        {"time_unix_nano": _BOUNDS.latest},
        {"time_unix_nano": _BOUNDS.latest - 1},
        {"time_unix_nano": _BOUNDS.earliest},
        {"time_unix_nano": _BOUNDS.earliest - 1},
        {"flags": 1},
        {"exemplars": [raw.Exemplar(as_int=1)]},
        {"attributes": []},
        {"attributes": [raw.attribute("k" * 200, "v" * 20_000)]},
    ],
)
@pytest.mark.parametrize("kind", [raw.NumberDataPoint, raw.HistogramDataPoint])
def test_unusual_points_make_the_same_rows(kind: Any, fields: dict[str, Any]) -> None:
    value = {"as_int": 1} if kind is raw.NumberDataPoint else {**_BUCKETS, "min": 1.0, "max": 2.0}
    usual = {"start_time_unix_nano": 5, "time_unix_nano": _NOW, "attributes": [raw.attribute("a", "b")]}
    _same_both_ways(_request(kind(**usual, **value), kind(**(usual | fields), **value)), Known())


@pytest.mark.parametrize(
    "fields",
    [
        {"count": _LARGE},
        {"bucket_counts": [_LARGE, 1]},
        {"bucket_counts": [1, _LARGE - 1]},
        {"bucket_counts": [1, 2, 3]},
        {"bucket_counts": [1]},
        {"explicit_bounds": [1.0, 2.0]},
        {"bucket_counts": [], "explicit_bounds": []},
        {"bucket_counts": [1], "explicit_bounds": []},
        {"bucket_counts": [1] * 17, "explicit_bounds": [1.0] * 16},
        {"bucket_counts": [1] * 2049, "explicit_bounds": [1.0] * 2048},
        {"min": 1.0},
        {"max": 1.0},
        {"min": 1.0, "max": float("nan")},
        # The end of an attribute may look like minimum and maximum.
        {"attributes": [raw.attribute("a", "Y12345678a12345678")]},
    ],
)
def test_unusual_histograms_make_the_same_rows(fields: dict[str, Any]) -> None:
    usual = {"start_time_unix_nano": 5, "time_unix_nano": _NOW, "attributes": [raw.attribute("a", "b")], **_BUCKETS}
    bare = raw.HistogramDataPoint(**(usual | {"attributes": []}))
    _same_both_ways(
        _request(bare, raw.HistogramDataPoint(**usual), raw.HistogramDataPoint(**(usual | fields))), Known()
    )


@pytest.mark.parametrize(
    ("buckets", "behind"),
    [
        (_BUCKETS, b"\x59" + bytes(7) + b"\x01\x61"),  # cut short, but where minimum and maximum have their tags
        ({**_BUCKETS, "bucket_counts": [1], "explicit_bounds": []}, b"\x3a\x00"),
        (_BUCKETS, b"\x4a\x00"),
        (_BUCKETS, b"\x50\x00"),
        (_BUCKETS, b"\x59" + bytes(8)),
    ],
)
def test_unusual_ends_are_read_alike(buckets: dict[str, Any], behind: bytes) -> None:
    known = Known()
    usual = raw.HistogramDataPoint(start_time_unix_nano=5, time_unix_nano=_NOW, **buckets)
    _read(_request(usual), known)
    metric = raw.field(9, raw.field(1, usual.SerializeToString() + behind))
    _same_both_ways(raw.field(1, raw.field(2, raw.field(2, metric))), known)


@pytest.mark.parametrize(
    ("add", "point"),
    [
        (points.add_numbers, _usual(raw.NumberDataPoint, start_time_unix_nano=1, as_int=-5)),
        (points.add_numbers, _usual(raw.NumberDataPoint, start_time_unix_nano=1, as_double=0.5)),
        (points.add_numbers, _usual(raw.NumberDataPoint, as_double=0.5)),
        (points.add_histograms, _usual(raw.HistogramDataPoint, start_time_unix_nano=1, **_BUCKETS)),
        (points.add_histograms, _usual(raw.HistogramDataPoint, start_time_unix_nano=1, min=0.1, max=2.0, **_BUCKETS)),
        (points.add_histograms, _usual(raw.HistogramDataPoint, **_BUCKETS)),
    ],
    ids=["int", "double", "startless double", "histogram", "histogram with extremes", "startless histogram"],
)
def test_what_an_encoder_writes_is_read_by_offsets(add: Any, point: bytes) -> None:
    parts: list[bytes] = []
    days: set[int] = set()
    assert add([point], (1, 2, 3), lambda key: 4, _BOUNDS, parts, days) == []
    assert len(_rows(b"".join(parts))) == 1
    assert days == {_NOW // 86_400_000_000_000}


@given(otlp_strategies.attributes, otlp_strategies.attributes)
@_SETTINGS
def test_a_series_is_the_same_after_any_other_series(before: list[Any], items: list[Any]) -> None:
    cache = AttributeCache()
    raws = [item.SerializeToString() for item in items]
    key = SeriesKey(1, 2, 3, framed(b"\x3a", raws))
    series_row(SeriesKey(1, 2, 3, framed(b"\x4a", [item.SerializeToString() for item in before])), 0, Repairs(), cache)
    fresh = series_row(key, 0, Repairs(), AttributeCache())
    assert series_row(key, 0, Repairs(), cache) == series_row(key, 0, Repairs(), cache) == fresh
    turned = series_row(SeriesKey(1, 2, 3, framed(b"\x3a", raws[::-1])), 0, Repairs(), cache)
    assert turned.hash == fresh.hash


def test_a_series_stored_by_an_earlier_version_is_found() -> None:
    attributes = [raw.attribute("http.route", "/a"), raw.attribute("code", 200), raw.attribute("odd", "\0")]
    key = SeriesKey(1, 2, 3, framed(b"\x3a", [item.SerializeToString() for item in attributes]))
    assert str(series_row(key, 0, Repairs(), AttributeCache()).hash) == "5d7290d5-8707-577a-cb30-1cea24ed3b7f"
