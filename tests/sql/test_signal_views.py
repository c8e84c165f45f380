"""spans, logs and metric_points: every column with its exact value, and what they show where nothing is stored."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from psycopg.types.json import Jsonb

from tests.sql import rows
from tests.sql.conftest import Ask
from tests.sql.rows import MS, NOON, Connection, Span

TRACE = uuid.UUID("0af7651916cd43dd8448eb211c80319c")
BASE = rows.unix_nano(NOON)


def at(ms: float) -> datetime:
    return NOON + timedelta(milliseconds=ms)


def test_every_column_of_spans(connection: Connection, ask: Ask) -> None:
    event = {"time_unix_nano": BASE, "name": "exception", "attributes": {"exception.type": "ValueError"}}
    link = {"trace_id": TRACE.hex, "span_id": "00000000000000aa", "trace_state": "", "flags": 1}
    span = Span(
        trace=TRACE, id=bytes.fromhex("b7ad6b7169203331"), parent=bytes.fromhex("00f067aa0ba902b7"), name="GET /",
        kind=rows.SERVER, start=BASE + 1_234_567, end=BASE + 5 * MS + 3, status=2, message="boom", service="shop",
        flags=769, trace_state="a=b", attributes={"n": 2**60, "f": 1.5}, events=[event], links=[link],
        dropped=(1, 2, 3),
    )  # fmt: skip
    rows.insert(connection, [span])
    connection.execute("UPDATE _otel.spans SET repaired = %s", (Jsonb({"name": "x"}),))
    (found,) = ask("SELECT * FROM otel.spans")
    assert datetime.now(UTC) - found.pop("received_at") < timedelta(minutes=5)
    assert found == {
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331",
        "parent_span_id": "00f067aa0ba902b7",
        "flow_id": TRACE,
        "service_name": "shop",
        "name": "GET /",
        "kind": "SERVER",
        "start_time": NOON + timedelta(microseconds=1234),
        "end_time": at(5),
        "start_time_unix_nano": BASE + 1_234_567,
        "end_time_unix_nano": BASE + 5 * MS + 3,
        "duration_ms": 3.765436,
        "duration_ns": 3_765_436,
        "status_code": "ERROR",
        "status_message": "boom",
        "attributes": {"n": 2**60, "f": 1.5},
        "events": [event],
        "links": [link],
        "resource_attributes": {"service.name": "shop"},
        "scope_name": "tests",
        "scope_version": "1.2",
        "scope_attributes": {"a": 1},
        "trace_state": "a=b",
        "flags": 769,
        "dropped_attributes_count": 1,
        "dropped_events_count": 2,
        "dropped_links_count": 3,
        "repaired": {"name": "x"},
        "tenant_id": 0,
    }


def test_spans_with_nothing_in_them(connection: Connection, ask: Ask) -> None:
    rows.insert(connection, [Span(trace=TRACE, start=BASE, end=BASE - 7)])
    query = (
        "SELECT parent_span_id, status_code, status_message, attributes, events, links, trace_state, duration_ns, "
        "duration_ms, repaired FROM otel.spans"
    )
    assert [tuple(row.values()) for row in ask(query)] == [(None, "UNSET", None, {}, [], [], None, -7, -7e-6, None)]


def test_numbers_of_kind_and_status_as_words(connection: Connection, ask: Ask) -> None:
    numbers = list(enumerate([None, 0, 1, 2, 3, -1, 0]))
    rows.insert(connection, [Span(trace=TRACE, start=BASE, end=BASE, kind=kind, status=code) for kind, code in numbers])
    assert [tuple(row.values()) for row in ask("SELECT kind, status_code FROM otel.spans ORDER BY span_id")] == [
        ("UNSPECIFIED", "UNSET"),
        ("INTERNAL", "UNSET"),
        ("SERVER", "OK"),
        ("CLIENT", "ERROR"),
        ("PRODUCER", "3"),
        ("CONSUMER", "-1"),
        ("6", "UNSET"),
    ]


def test_times_to_the_end_of_what_nanoseconds_can_say(connection: Connection, ask: Ask) -> None:
    rows.insert(connection, [Span(trace=TRACE, start=0, end=2**63 - 1)])
    (found,) = ask("SELECT start_time, end_time, duration_ns FROM otel.spans")
    assert found["start_time"] == rows.EPOCH
    assert found["duration_ns"] == 2**63 - 1
    assert abs(found["end_time"] - (rows.EPOCH + timedelta(microseconds=(2**63 - 1) // 1000))) < timedelta(
        milliseconds=1
    )


def put_log(connection: Connection, **values: object) -> None:
    defaults = {
        "time": NOON, "time_unix_nano": BASE, "observed_time_unix_nano": 0, "severity_number": 0, "flags": 0,
        "dropped_attributes_count": 0, "resource_id": rows.resource(connection, "shop"),
        "scope_id": rows.scope(connection),
    }  # fmt: skip
    rows.put(connection, "logs", **{**defaults, **values})


def test_every_column_of_logs(connection: Connection, ask: Ask) -> None:
    uid = uuid.uuid4()
    put_log(
        connection, observed_time_unix_nano=BASE + 5 * MS, severity_number=17, severity_text="ERROR", body="it broke",
        event_name="broken", trace_id=TRACE, span_id=rows.span_id(7), flags=1, dropped_attributes_count=4, uid=uid,
        attributes=Jsonb({"code.line.number": 7}), repaired=Jsonb({"body": "x"}),
    )  # fmt: skip
    (found,) = ask("SELECT * FROM otel.logs")
    assert datetime.now(UTC) - found.pop("received_at") < timedelta(minutes=5)
    assert found == {
        "time": NOON,
        "observed_time": at(5),
        "time_unix_nano": BASE,
        "observed_time_unix_nano": BASE + 5 * MS,
        "severity_number": 17,
        "severity_text": "ERROR",
        "level": "error",
        "body": "it broke",
        "body_value": None,
        "event_name": "broken",
        "trace_id": TRACE.hex,
        "span_id": "0000000000000007",
        "flow_id": TRACE,
        "service_name": "shop",
        "attributes": {"code.line.number": 7},
        "resource_attributes": {"service.name": "shop"},
        "scope_name": "tests",
        "scope_version": "1.2",
        "scope_attributes": {"a": 1},
        "flags": 1,
        "dropped_attributes_count": 4,
        "uid": uid,
        "repaired": {"body": "x"},
    }


def test_bodies_that_are_no_plain_string(connection: Connection, ask: Ask) -> None:
    texts: list[tuple[object, str]] = [
        ({"user": "ada", "n": 1}, '{"n": 1, "user": "ada"}'),
        ([1, "two"], '[1, "two"]'),
        (1.5, "1.5"),
        (True, "true"),
        ({"$string": "a\\0b"}, "a\\0b"),
        ({"$bytes": "AAE="}, '{"$bytes": "AAE="}'),
    ]
    for n, (value, _) in enumerate(texts):
        put_log(connection, body_value=Jsonb(value), flags=n)
    found = ask("SELECT body_value, body FROM otel.logs ORDER BY flags")
    assert [tuple(row.values()) for row in found] == texts


def test_logs_with_nothing_in_them(connection: Connection, ask: Ask) -> None:
    put_log(connection)
    query = "SELECT observed_time, body, body_value, trace_id, span_id, flow_id, attributes, level FROM otel.logs"
    assert [tuple(row.values()) for row in ask(query)] == [(None, None, None, None, None, None, {}, "unknown")]


def test_levels(connection: Connection, ask: Ask) -> None:
    for number in range(26):
        put_log(connection, severity_number=number)
    words = ["trace", "debug", "info", "warn", "error", "fatal"]
    expected = ["unknown", *(word for word in words for _ in range(4)), "unknown"]
    assert [row["level"] for row in ask("SELECT level FROM otel.logs ORDER BY severity_number")] == expected


COMMON = {
    "time": NOON,
    "start_time": at(-1000),
    "time_unix_nano": BASE,
    "start_time_unix_nano": BASE - 1000 * MS,
    "unit": "ms",
    "temporality": None,
    "is_monotonic": None,
    "exemplars": [],
    "attributes": {"route": "/"},
    "resource_attributes": {"service.name": "shop"},
    "service_name": "shop",
    "scope_name": "tests",
    "scope_version": "1.2",
    "flags": 0,
    "no_recorded_value": False,
    "repaired": None,
} | dict.fromkeys(
    [
        "value", "value_int", "count", "sum", "min", "max", "explicit_bounds", "bucket_counts", "scale", "zero_count",
        "zero_threshold", "positive_offset", "positive_counts", "negative_offset", "negative_counts", "quantiles",
        "quantile_values",
    ]
)  # fmt: skip
EXEMPLAR = {"time_unix_nano": BASE, "value": 2.5, "trace_id": TRACE.hex, "span_id": "00000000000000aa"}


@pytest.mark.parametrize(
    ("table", "kind", "temporality", "monotonic", "stored", "shown"),
    [
        (
            "number_points", 5, None, None, {"value_double": 2.5, "exemplars": Jsonb([EXEMPLAR])},
            {"type": "gauge", "value": 2.5, "exemplars": [EXEMPLAR]},
        ),
        (
            "number_points", 7, 2, True, {"value_int": 2**53 + 1, "repaired": Jsonb({"a": 1})},
            {"type": "sum", "temporality": "CUMULATIVE", "is_monotonic": True, "value": 2.0**53, "value_int": 2**53 + 1,
             "repaired": {"a": 1}},
        ),
        (
            "number_points", 7, 1, False, {"flags": 1},
            {"type": "sum", "temporality": "DELTA", "is_monotonic": False, "flags": 1, "no_recorded_value": True},
        ),
        (
            "histogram_points", 9, 0, None,
            {"count": 3, "sum": 6.5, "min": 1.0, "max": 4.0, "bucket_counts": [1, 2], "explicit_bounds": [2.0]},
            {"type": "histogram", "temporality": "UNSPECIFIED", "count": 3, "sum": 6.5, "min": 1, "max": 4,
             "bucket_counts": [1, 2], "explicit_bounds": [2]},
        ),
        (
            "exponential_histogram_points", 10, 2, None,
            {"count": 7, "sum": 1.5, "min": -2.0, "max": 9.0, "scale": -1, "zero_count": 2, "zero_threshold": 0.25,
             "positive_offset": 3, "positive_counts": [1, 0, 2], "negative_offset": -4, "negative_counts": [2]},
            {"type": "exponential_histogram", "temporality": "CUMULATIVE", "count": 7, "sum": 1.5, "min": -2, "max": 9,
             "scale": -1, "zero_count": 2, "zero_threshold": 0.25, "positive_offset": 3, "positive_counts": [1, 0, 2],
             "negative_offset": -4, "negative_counts": [2]},
        ),
        (
            "summary_points", 11, None, None,
            {"count": 4, "sum": 10.0, "quantiles": [0.5, 0.99], "quantile_values": [2.0, 4.0]},
            {"type": "summary", "count": 4, "sum": 10, "quantiles": [0.5, 0.99], "quantile_values": [2, 4]},
        ),
    ],
)  # fmt: skip
def test_every_column_of_metric_points(
    connection: Connection,
    ask: Ask,
    table: str,
    kind: int,
    temporality: int | None,
    monotonic: bool | None,
    stored: dict[str, object],
    shown: dict[str, object],
) -> None:
    series = rows.series(
        connection,
        "http.server.duration",
        kind,
        temporality=temporality,
        monotonic=monotonic,
        attributes={"route": "/"},
    )
    times = {"time": NOON, "time_unix_nano": BASE, "start_time_unix_nano": BASE - 1000 * MS}
    rows.put(connection, table, series_id=series, **{**times, "flags": 0, **stored})
    (found,) = ask("SELECT * FROM otel.metric_points")
    assert datetime.now(UTC) - found.pop("received_at") < timedelta(minutes=5)
    name = {"metric_name": "http.server.duration", "description": "about http.server.duration", "series_id": series}
    assert found == {**COMMON, **name, **shown}


def test_metric_points_of_all_types_are_found_together(connection: Connection, ask: Ask) -> None:
    common = {"time": NOON, "time_unix_nano": BASE, "start_time_unix_nano": 0, "flags": 0}
    rows.put(connection, "number_points", series_id=rows.series(connection, "a", 5), value_int=1, **common)
    rows.put(connection, "histogram_points", series_id=rows.series(connection, "b", 9), count=2, **common)
    rows.put(connection, "summary_points", series_id=rows.series(connection, "c", 11), count=3, sum=0, **common)
    query = "SELECT metric_name, coalesce(value, count) AS n, start_time FROM otel.metric_points ORDER BY 1"
    assert [tuple(row.values()) for row in ask(query)] == [("a", 1, None), ("b", 2, None), ("c", 3, None)]
    assert ask("SELECT value_int FROM otel.metric_points WHERE metric_name = 'a'") == [{"value_int": 1}]
