"""Storing is lossless: random requests to rows in a real database, and those rows back to equal OTLP."""

import random
from base64 import b64decode
from collections import Counter
from typing import Any, Final

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.descriptors import is_repeated
from otelgres.exporters.outcome import Accepted
from otelgres.exporters.postgres.codec.anyvalue import MAX_DEPTH
from otelgres.exporters.postgres.writer import PostgresWriter
from tests import otlp_from_rows, otlp_repairs, otlp_strategies
from tests import otlp_raw as raw

Connection = psycopg.Connection[Any]

_SETTINGS: Final = settings(
    max_examples=30,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def stored_and_read(writer: PostgresWriter, reader: Connection, request: Any) -> None:
    """Writes the request and holds what can be read, and what the ledger says, against it."""
    tag = otlp_strategies.made_unique(request)
    reader.execute("DELETE FROM _otel.losses")
    assert writer.write([raw.batch(request)]) == [Accepted()]
    signal = raw.signal_of(request)
    back = otlp_from_rows.read(reader, signal, tag)
    assert raw.items(back) == raw.items(request)
    losses: dict[str, Counter[str]] = {signal: Counter(), "dimensions": Counter()}
    for effect, where, reason, count in reader.execute("SELECT effect, signal, reason, count FROM _otel.losses"):
        assert effect == "repaired"
        losses[where][reason] += count
    assert losses[signal] == otlp_repairs.in_items(request)
    # What an earlier example brought already needs no row now.
    assert losses["dimensions"] <= otlp_repairs.in_dimensions(request)
    # In another request the same items are recognised as the same.
    reader.execute("DELETE FROM _otel.digests")
    assert writer.write([raw.batch(request)]) == [Accepted()]
    assert reader.execute("SELECT * FROM _otel.losses WHERE effect = 'dropped'").fetchall() == []


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
@_SETTINGS
def test_random_requests(
    signal: Signal, shared_writer: PostgresWriter, shared_reader: Connection, data: st.DataObject
) -> None:
    stored_and_read(shared_writer, shared_reader, data.draw(otlp_strategies.REQUESTS[signal]))


@pytest.mark.parametrize("signal", list(Signal))
def test_every_field_at_once(signal: Signal, shared_writer: PostgresWriter, shared_reader: Connection) -> None:
    stored_and_read(shared_writer, shared_reader, raw.filled(signal, otlp_strategies.NOW))


@pytest.mark.parametrize("signal", list(Signal))
@pytest.mark.parametrize("size", [128, 3_000, 200_000])
def test_text_of_any_size_everywhere(
    size: int, signal: Signal, shared_writer: PostgresWriter, shared_reader: Connection
) -> None:
    request = raw.filled(signal, otlp_strategies.NOW)
    # Of many different characters: what repeats is compressed before it can be too long for an index.
    _lengthen(request, random.Random(size).randbytes(size // 2).hex().encode())
    stored_and_read(shared_writer, shared_reader, request)


def _corners(signal: Signal) -> list[Any]:
    """Spans, records or metrics that differ from others in nothing but what is easily taken for nothing."""
    now = otlp_strategies.NOW
    match signal:
        case Signal.TRACES:
            return [raw.Span(start_time_unix_nano=now), raw.Span(start_time_unix_nano=now, status=raw.Status())]
        case Signal.LOGS:
            none, empty, text = None, raw.AnyValue(), raw.AnyValue(string_value=b"")
            return [raw.LogRecord(time_unix_nano=now, body=body) for body in (none, empty, text)]
    # A sum of 0 is not the same as none; two moments that no bigint holds are two moments.
    zero = {"sum": 0.0, "min": 0.0, "max": 0.0}
    histograms = [raw.HistogramDataPoint(time_unix_nano=now + at, **(zero if at else {})) for at in (0, 1)]
    exponentials = [
        raw.ExponentialHistogramDataPoint(time_unix_nano=now + at, positive=buckets, **(zero if at else {}))
        for at, buckets in enumerate([None, raw.Buckets(), raw.Buckets(offset=-3)])
    ]
    late = [raw.NumberDataPoint(time_unix_nano=2**63 + at, start_time_unix_nano=2**63, as_int=0) for at in range(3)]
    kinds = [
        raw.NumberDataPoint(time_unix_nano=now, as_double=0.0),
        raw.NumberDataPoint(time_unix_nano=now + 1, flags=1),
    ]
    return [
        raw.Metric(histogram=raw.Histogram(data_points=histograms)),
        raw.Metric(exponential_histogram=raw.ExponentialHistogram(data_points=exponentials)),
        raw.Metric(gauge=raw.Gauge(data_points=late + kinds)),
    ]


@pytest.mark.parametrize("signal", list(Signal))
def test_almost_zero_is_not_zero(signal: Signal, shared_writer: PostgresWriter, shared_reader: Connection) -> None:
    request = raw.REQUESTS[signal]()
    scope = raw.scopes(request, raw.resources(request).add()).add()
    items = {Signal.TRACES: "spans", Signal.LOGS: "log_records", Signal.METRICS: "metrics"}
    getattr(scope, items[signal]).extend(_corners(signal))
    stored_and_read(shared_writer, shared_reader, request)


def test_resources_that_differ_in_entities_alone_are_two(
    shared_writer: PostgresWriter, shared_reader: Connection
) -> None:
    request = raw.LogsRequest()
    for type_ in (b"host", b"ho\0st", b"ho\xffst", b"ho\\u0000st"):
        resource = raw.Resource(entity_refs=[raw.EntityRef(type=type_, id_keys=[type_])])
        request.resource_logs.add(resource=resource).scope_logs.add().log_records.add(time_unix_nano=1)
    stored_and_read(shared_writer, shared_reader, request)


def test_what_stands_in_for_the_exact_value_is_the_nearest_one(
    shared_writer: PostgresWriter, shared_reader: Connection
) -> None:
    point = raw.HistogramDataPoint(time_unix_nano=1, count=2**64 - 1, bucket_counts=[2**63, 5], explicit_bounds=[1.0])
    request = raw.MetricsRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    scope.metrics.add(name=b"a\0\xff").histogram.data_points.append(point)
    stored_and_read(shared_writer, shared_reader, request)
    most = 2**63 - 1
    rows = shared_reader.execute(
        "SELECT m.name, count, bucket_counts FROM _otel.histogram_points p JOIN _otel.series s ON s.id = series_id "
        "JOIN _otel.metrics m ON m.id = metric_id WHERE count = %s AND m.name LIKE 'a%%'",
        [most],
    ).fetchall()
    assert ("a\ufffd\ufffd", most, [most, 5]) in rows


def _lengthen(message: Any, text: bytes) -> None:
    """Adds ``text`` to every text, key and string value in the message."""
    for field, value in message.ListFields():
        for one in value if is_repeated(field) and field.message_type else [value] if field.message_type else []:
            _lengthen(one, text)
        if field.type == field.TYPE_BYTES and field.name not in raw.IDS:
            if is_repeated(field):
                value[:] = [one + text for one in value]
            else:
                setattr(message, field.name, value + text)


@pytest.mark.parametrize("signal", list(Signal))
def test_values_nested_without_end(signal: Signal, shared_writer: PostgresWriter, shared_reader: Connection) -> None:
    """No library writes so deep a request or reads it, so it is put together, and read, by hand."""
    deep = raw.nested(300)
    tag = otlp_strategies.made_unique(raw.REQUESTS[signal]())
    pair = raw.field(1, b"deep") + raw.field(2, deep)
    kind = {Signal.TRACES: raw.Span, Signal.LOGS: raw.LogRecord, Signal.METRICS: raw.NumberDataPoint}
    fields: dict[str, Any] = {"time_unix_nano": otlp_strategies.NOW}
    if signal is Signal.METRICS:
        fields["as_int"] = 1
    if signal is Signal.TRACES:
        fields = {"trace_id": tag.rjust(16), "span_id": tag.rjust(8), "start_time_unix_nano": otlp_strategies.NOW}
    item = kind[signal](**fields).SerializeToString()
    match signal:
        case Signal.TRACES:
            item += raw.field(9, pair)
        case Signal.LOGS:
            item += raw.field(6, pair) + raw.field(5, deep)
        case Signal.METRICS:
            item += raw.field(7, pair)
            item = raw.field(1, b"deep") + raw.field(5, raw.field(1, item))
    group = raw.field(1, raw.field(1, pair)) + raw.field(2, raw.field(2, item))
    shared_reader.execute("DELETE FROM _otel.losses")
    request = Batch(signal, raw.field(1, group + raw.field(3, tag)))
    assert shared_writer.write([request]) == [Accepted()]
    table = {Signal.TRACES: "spans", Signal.LOGS: "logs", Signal.METRICS: "series"}[signal]
    [row] = shared_reader.execute(
        f"SELECT r.attributes -> 'deep', t.attributes -> 'deep', to_jsonb(t) -> 'body_value' FROM _otel.{table} t "
        "JOIN _otel.resources r ON r.id = resource_id WHERE schema_url = %s".encode(),
        [tag.decode()],
    ).fetchall()
    values = row if signal is Signal.LOGS else row[:2]
    for value in values:
        for _ in range(MAX_DEPTH + 1):
            [value] = value
        assert b64decode(value["$anyvalue"]) == raw.nested(300 - MAX_DEPTH - 1)
    found = shared_reader.execute("SELECT sum(count) FROM _otel.losses WHERE reason = 'nested_too_deep'").fetchone()
    assert found == (len(values),)
