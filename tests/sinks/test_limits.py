"""Limits on items and on what is new: what is beyond is cut, dropped or filed apart, and costs no neighbour."""

import base64
import itertools
import secrets
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted, Invalid
from otelgres.exporters.postgres.cardinality import CardinalityLimiter
from otelgres.exporters.postgres.codec import known as caches
from otelgres.exporters.postgres.codec.limits import Limits
from otelgres.exporters.postgres.writer import PostgresWriter
from tests import otlp_raw
from tests.acceptance.receiver_process import rows

_ids = itertools.count(1)
SMALL = Limits(items=5, attributes=3, events=2, key_bytes=8, value_bytes=10, text_bytes=12)


def trace(*names: str, service: str = "s", **more: Any) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = service
    for name in names:
        now = time.time_ns()
        span = group.scope_spans.add().spans.add(
            trace_id=next(_ids).to_bytes(16), span_id=next(_ids).to_bytes(8), name=name, start_time_unix_nano=now,
            end_time_unix_nano=now,
        )  # fmt: skip
        for key, value in more.items():
            span.attributes.add(key=key).value.string_value = value
    return request


def write(writer: PostgresWriter, *requests: Any) -> list[Any]:
    kinds = {
        ExportTraceServiceRequest: Signal.TRACES,
        ExportLogsServiceRequest: Signal.LOGS,
        ExportMetricsServiceRequest: Signal.METRICS,
    }
    return writer.write([Batch(kinds[type(request)], request.SerializeToString()) for request in requests])


def losses(dsn: str) -> dict[tuple[str, str], int]:
    found = rows(dsn, "SELECT effect, reason, sum(count)::int AS n FROM otel.losses GROUP BY 1, 2")
    return {(row["effect"], row["reason"]): row["n"] for row in found}


@pytest.mark.parametrize("key", ["service.name", "service.namespace", "tenant.id", "otelgres.table_prefix"])
def test_resource_attributes_may_be_longer_than_an_index_entry(database: str, key: str) -> None:
    request = trace("a span")
    # Random, so that compression does not make it short.
    request.resource_spans[0].resource.attributes.add(key=key).value.string_value = secrets.token_hex(10_000)
    writer = PostgresWriter(database)
    assert write(writer, request) == [Accepted()]
    writer.close()


def test_a_resource_that_cannot_be_stored_is_in_the_ledger_of_an_empty_database(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("ALTER TABLE _otel.resources ADD CONSTRAINT no_poison CHECK (service_name <> 'poison')")
    writer = PostgresWriter(database)
    (outcome,) = write(writer, trace("a span", service="poison"))
    writer.close()
    assert isinstance(outcome, Invalid)
    assert losses(database) == {("refused", "not_storable"): 1}


def test_too_long_values_are_cut_and_others_are_whole(database: str) -> None:
    writer = PostgresWriter(database, limits=SMALL)
    big = trace("0123456789abcdef", a="x" * 11, verylongkey="v", c="ok")
    # Cut where no character is cut in two.
    wide = trace("w", a="ä" * 8)
    assert write(writer, trace("ok", a="fine"), big, wide, trace("also ok")) == [Accepted()] * 4
    writer.close()
    found = {row["name"]: row["attributes"] for row in rows(database, "SELECT name, attributes FROM otel.spans")}
    assert found == {
        "ok": {"a": "fine"},
        "0123456789ab": {"a": "x" * 10, "verylong": "v", "c": "ok"},
        "w": {"a": "ä" * 5},
        "also ok": {},
    }
    # service.name is longer than eight bytes, in each of the four resources' one content.
    assert losses(database) == {("dropped", "text_cut"): 1, ("dropped", "value_cut"): 2, ("dropped", "key_cut"): 2}


def test_too_many_are_dropped_and_counted(database: str) -> None:
    request = trace("n", a="1", b="2", c="3", d="4", e="5")
    span = request.resource_spans[0].scope_spans[0].spans[0]
    for number in range(4):
        span.events.add(name=str(number))
        span.links.add(trace_id=b"t" * 16, span_id=b"s" * 8)
    writer = PostgresWriter(database, limits=SMALL)
    assert write(writer, request) == [Accepted()]
    writer.close()
    (row,) = rows(database, "SELECT attributes, events, links FROM otel.spans")
    assert (len(row["attributes"]), len(row["events"]), len(row["links"])) == (3, 2, 2)
    found = losses(database)
    assert found["dropped", "attributes_dropped"] == 2
    assert (found["dropped", "events_dropped"], found["dropped", "links_dropped"]) == (2, 2)


def test_nested_values_and_bodies_are_bounded(database: str) -> None:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    record = scope.log_records.add(time_unix_nano=time.time_ns())
    record.body.string_value = "a very long line"
    nested = record.attributes.add(key="n").value
    for _ in range(20):
        nested.array_value.values.add(int_value=1)
    record.attributes.add(key="b").value.bytes_value = b"0123456789abc"
    tree = scope.log_records.add(time_unix_nano=time.time_ns()).body
    for _ in range(20):
        tree.array_value.values.add(string_value="x")
    writer = PostgresWriter(database, limits=SMALL)
    assert write(writer, request) == [Accepted()]
    writer.close()
    first, second = rows(database, "SELECT body, body_value, attributes FROM otel.logs ORDER BY body NULLS LAST")
    assert first["body"] == "a very long "
    assert first["attributes"]["n"] is None
    assert len(str(first["attributes"]["b"])) < 40
    assert second["body_value"] is None or second["body"] is None


def test_what_is_nested_too_deep_is_kept_as_bytes_and_counted(database: str) -> None:
    deep, allowed = otlp_raw.nested(3), otlp_raw.nested(2)
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.add(key="deep").value.MergeFromString(deep)
    record = group.scope_logs.add().log_records.add(time_unix_nano=time.time_ns())
    record.body.MergeFromString(deep)
    record.attributes.add(key="deep").value.MergeFromString(deep)
    record.attributes.add(key="allowed").value.MergeFromString(allowed)
    writer = PostgresWriter(database, limits=Limits(nesting=2))
    assert write(writer, request) == [Accepted()]
    writer.close()
    (row,) = rows(database, "SELECT body_value, attributes, resource_attributes FROM otel.logs")
    kept = [[[{"$anyvalue": base64.b64encode(otlp_raw.nested(0)).decode()}]]]
    assert row["attributes"]["allowed"] == [["core"]]
    assert row["attributes"]["deep"] == row["body_value"] == row["resource_attributes"]["deep"] == kept
    assert losses(database)["repaired", "nested_too_deep"] == 3
    for limit in (0, 48, 1000):
        assert Limits(nesting=limit).outermost == 0


def test_a_request_of_too_many_items_is_refused_alone(database: str) -> None:
    writer = PostgresWriter(database, limits=SMALL)
    good, bad, other = write(writer, trace("a"), trace(*"abcdef"), trace("b"))
    assert (good, other) == (Accepted(), Accepted())
    assert isinstance(bad, Invalid)
    assert "6 items, more than the limit of 5" in bad.message
    writer.close()
    assert rows(database, "SELECT count(*) AS n FROM otel.spans") == [{"n": 2}]
    assert any(effect == "refused" for effect, _ in losses(database))


def test_no_limit_is_no_limit(database: str) -> None:
    writer = PostgresWriter(database, limits=Limits(0, 0, 0, 0, 0, 0))
    many = {f"key{number}": "v" * 50 for number in range(3000)}
    assert write(writer, trace(*["n" * 100] * 50, **many)) == [Accepted()]
    writer.close()
    (row,) = rows(
        database, "SELECT count(*) AS n, min((SELECT count(*) FROM jsonb_object_keys(attributes))) AS k FROM otel.spans"
    )
    assert (row["n"], row["k"]) == (50, 3000)
    assert losses(database) == {}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def guarded(database: str) -> Callable[..., tuple[PostgresWriter, Clock]]:
    def make(**limits: int) -> tuple[PostgresWriter, Clock]:
        clock = Clock()
        return PostgresWriter(database, guard=CardinalityLimiter(**limits, clock=clock)), clock

    return make


def points(*series: int) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.add(key="service.name").value.string_value = "s"
    data = group.scope_metrics.add().metrics.add(name="m").gauge.data_points
    for number in series:
        point = data.add(time_unix_nano=time.time_ns() + number, as_int=number)
        point.attributes.add(key="n").value.int_value = number
    return request


def test_series_that_are_too_many_share_one_and_ingest_goes_on(database: str, guarded: Any) -> None:
    writer, clock = guarded(series=3)
    assert write(writer, points(*range(10))) == [Accepted()]
    query = "SELECT attributes, count(*) AS n FROM otel.metric_points GROUP BY 1"
    found = rows(database, query)
    assert len(found) == 4
    assert {"attributes": {"otel.metric.overflow": True}, "n": 7} in found
    assert losses(database) == {("repaired", "series_overflow"): 7}
    # Those that the database knows are no news, to this writer or to another one.
    other, _ = guarded(series=3)
    known = [row["attributes"]["n"] for row in found if "n" in row["attributes"]]
    assert write(other, points(*known)) == [Accepted()]
    assert losses(database) == {("repaired", "series_overflow"): 7}
    # Another minute, another chance.
    clock.now += 60
    lost = next(number for number in range(10) if number not in known)
    assert write(writer, points(lost)) == [Accepted()]
    assert {"attributes": {"n": lost}, "n": 1} in rows(database, query)
    writer.close()
    other.close()


def test_resources_that_are_too_many_share_one(database: str, guarded: Any) -> None:
    writer, _ = guarded(resources=2)
    requests = []
    for number in range(6):
        request = trace("n", service="crowd")
        request.resource_spans[0].resource.attributes.add(key="pod").value.int_value = number
        requests.append(request)
    assert write(writer, *requests) == [Accepted()] * 6
    writer.close()
    query = """
        SELECT resource_attributes ? 'pod' AS own, service_name, count(*) AS n FROM otel.spans GROUP BY 1, 2 ORDER BY 1
    """
    assert rows(database, query) == [
        {"own": False, "service_name": "otelgres.overflow", "n": 4},
        {"own": True, "service_name": "crowd", "n": 2},
    ]
    assert losses(database) == {("repaired", "resource_overflow"): 4}
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM _otel.resources").fetchone() == (3,)


@pytest.mark.parametrize("mark", ["", "t"])
def test_a_flood_of_names_makes_few_rows(database: str, guarded: Any, mark: str) -> None:
    writer, _ = guarded(resources=10, series=10)
    requests: list[Any] = []
    for number in range(50):
        spans, metrics = trace("n", service=f"s{number}"), points(number)
        spans.resource_spans[0].scope_spans[0].scope.name = f"scope {number}"
        metrics.resource_metrics[0].scope_metrics[0].metrics[0].name = f"metric {number}"
        groups: list[Any] = [*spans.resource_spans, *metrics.resource_metrics]
        for group in groups:
            group.resource.attributes.add(key="tenant.id").value.string_value = mark
        requests += [spans, metrics]
    assert write(writer, *requests) == [Accepted()] * 100
    writer.close()
    with psycopg.connect(database) as connection:
        for table in ("resources", "scopes", "metrics", "series"):
            # One overflow row each; a series has one for each metric, resource and scope.
            (count,) = connection.execute(f"SELECT count(*) FROM _otel.{table}".encode()).fetchone() or (0,)
            assert 10 <= count <= (21 if table == "series" else 11), table
        tenants = connection.execute("SELECT DISTINCT attributes ->> 'tenant.id' FROM _otel.resources").fetchall()
    # The overflow of no tenant is not marked.
    assert {tenant for (tenant,) in tenants} <= ({mark} if mark else {mark, None})


def test_long_names_of_tenants_are_not_kept_in_memory(database: str) -> None:
    writer = PostgresWriter(database)
    requests: list[Any] = []
    for number in range(3):
        spans, metrics = trace("n"), points(number)
        groups: list[Any] = [*spans.resource_spans, *metrics.resource_metrics]
        for group in groups:
            group.resource.attributes.add(key="tenant.id").value.string_value = f"{number}{'x' * 20_000}"
        requests += [spans, metrics]
    ordinary = trace("n")
    ordinary.resource_spans[0].resource.attributes.add(key="tenant.id").value.string_value = "shop"
    assert write(writer, *requests, ordinary) == [Accepted()] * 7
    known = writer._known
    assert "x" * 20_000 not in repr((known.resources, known.scopes, known.metrics, known.tenants, known.tenant_ids))
    assert write(writer, *requests, ordinary) == [Accepted()] * 7
    assert {row["length"] for row in rows(database, "SELECT length(name) FROM _otel.tenant_ids")} == {4, 20_001}
    writer.close()


def test_the_caches_of_a_writer_have_a_size(database: str, guarded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "_MOST_BYTES", 100_000)
    writer, _ = guarded(resources=5, series=5)

    def flood(first: int) -> list[Any]:
        made: list[Any] = []
        for number in range(first, first + 10):
            spans, metrics = trace("n", service=f"{number}{'x' * 10_000}"), points(number)
            metrics.resource_metrics[0].scope_metrics[0].metrics[0].description = f"{number}{'x' * 10_000}"
            made += [spans, metrics]
        return made

    for first in range(0, 50, 10):
        assert write(writer, *flood(first)) == [Accepted()] * 20
        known = writer._known
        assert len(repr((known.resources, known.scopes, known.metrics, known.series, writer._overflow_ids))) < 200_000
    # What was forgotten is found again.
    assert write(writer, *flood(0)[:4]) == [Accepted()] * 4
    writer.close()


def test_a_tenants_flood_does_not_use_up_the_limit_of_another(database: str, guarded: Any) -> None:
    writer, _ = guarded(resources=5)

    def marked(tenant: str, service: str) -> Any:
        request = trace("n", service=service)
        request.resource_spans[0].scope_spans[0].scope.name = f"scope of {service}"
        request.resource_spans[0].resource.attributes.add(key="tenant.id").value.string_value = tenant
        return request

    flood = [marked("flood", f"s{number}") for number in range(30)]
    # The same scopes as some that are beyond the limit of the other.
    modest = [marked("modest", f"s{number}") for number in range(25, 29)]
    assert write(writer, *flood) == [Accepted()] * 30
    assert write(writer, *modest) == [Accepted()] * 4
    writer.close()
    query = (
        "SELECT DISTINCT service_name, scope_name FROM otel.spans WHERE resource_attributes ->> 'tenant.id' = 'modest'"
    )
    assert {(row["service_name"], row["scope_name"]) for row in rows(database, query)} == {
        (f"s{number}", f"scope of s{number}") for number in range(25, 29)
    }
    found = rows(database, "SELECT DISTINCT tenant, reason FROM otel.losses")
    assert {(row["tenant"], row["reason"]) for row in found} == {
        ("flood", "resource_overflow"), ("flood", "scope_overflow"),
    }  # fmt: skip


def test_statistics_of_names_without_end_are_counted_as_one(database: str) -> None:
    writer = PostgresWriter(database)
    now = time.time_ns() // 60_000_000_000 * 60_000_000_000
    for first in (0, 4000, 8000):
        request = trace(*(f"GET /{number}" for number in range(first, first + 4000)), service="shop")
        for span in (span for scope in request.resource_spans[0].scope_spans for span in scope.spans):
            span.start_time_unix_nano, span.end_time_unix_nano = now, now + 1000
        assert write(writer, request) == [Accepted()]
    writer.close()
    query = "SELECT name = 'otelgres.statistics.overflow' AS beyond, count(*) AS rows, sum(count)::int AS spans"
    assert rows(database, f"{query} FROM otel.span_stats GROUP BY 1 ORDER BY 1") == [
        {"beyond": False, "rows": 5000, "spans": 5000},
        {"beyond": True, "rows": 1, "spans": 7000},
    ]


def test_names_without_end_take_no_more_time_each(database: str) -> None:
    writer = PostgresWriter(database)
    start = time.time_ns() // 60_000_000_000 * 60_000_000_000
    seconds = []
    for minute, names in enumerate((4000, 16_000)):
        request = trace(*(f"GET /{number}" for number in range(names)), service="shop")
        for span in (span for scope in request.resource_spans[0].scope_spans for span in scope.spans):
            span.start_time_unix_nano = span.end_time_unix_nano = start - minute * 60_000_000_000
        began = time.monotonic()
        assert write(writer, request) == [Accepted()]
        seconds.append(time.monotonic() - began)
    writer.close()
    # Compared with each other they take thirty times as long.
    assert seconds[1] < 12 * seconds[0]


def test_a_request_sent_again_is_answered_as_the_first_time(database: str) -> None:
    request = trace("good", "bad")
    request.resource_spans[0].scope_spans[1].spans[0].trace_id = b"short"
    writer = PostgresWriter(database)
    (first,), (second,) = write(writer, request), write(writer, request)
    writer.close()
    assert first == second
    assert first.rejected == 1
    assert losses(database) == {("refused", "invalid_span"): 1}, "and counted once"
