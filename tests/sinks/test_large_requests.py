"""Requests that are decoded in slices are stored as others are: all or nothing, once, whatever memory that takes."""

import time

import pytest

from otelgres.exporters import slices as sliced
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted, Invalid
from otelgres.exporters.postgres import large
from otelgres.exporters.postgres.codec import decode, metrics
from otelgres.exporters.postgres.codec.limits import Limits
from otelgres.exporters.postgres.writer import PostgresWriter
from tests import otlp_raw
from tests.acceptance.receiver_process import rows
from tests.attack.wire import field, fixed64, inside

NOW = time.time_ns()


@pytest.fixture(params=[1 << 30, -(1 << 30)], ids=["rows kept", "rows made again"])
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sliced, "SLICE_BYTES", 2000)
    monkeypatch.setattr(decode, "SLICE_BYTES", 2000)
    monkeypatch.setattr(large, "_CONSTANT", request.param)


def spans(first: int, count: int, bad: int = 0, end: bytes = b"") -> Batch:
    def span(number: int) -> bytes:
        ids = field(1, number.to_bytes(16)) + field(2, (0 if number == bad else number).to_bytes(8))
        return field(2, ids + field(5, b"n") + fixed64(7, NOW) + fixed64(8, NOW))

    resource = field(1, field(1, field(1, b"service.name") + field(2, field(1, b"large"))))
    items = b"".join([span(number) for number in range(first, first + count)])
    return Batch(Signal.TRACES, field(1, resource + field(2, items + end)))


def count(dsn: str, *tables: str) -> int:
    return sum(int(rows(dsn, f"SELECT count(*)::int AS n FROM _otel.{table}")[0]["n"]) for table in tables)


@pytest.mark.usefixtures("small")
def test_all_items_are_stored_once(database: str) -> None:
    writer = PostgresWriter(database)
    small = spans(10_000, 3)
    outcomes = writer.write([small, spans(1, 500, bad=77)])
    assert outcomes[0] == Accepted()
    assert outcomes[1] == Accepted(1, "1 rejected: trace_id or span_id is all zeros (1)")
    assert count(database, "spans") == 502
    # The same request is known by its digest; others with the same items by the items.
    assert writer.write([spans(1, 500, bad=77)]) == [outcomes[1]]
    assert writer.write([spans(1, 600)]) == [Accepted()]
    assert count(database, "spans") == 603
    assert {row["resource"] for row in rows(database, "SELECT DISTINCT service_name AS resource FROM otel.spans")} == {
        "large"
    }
    writer.close()


@pytest.mark.usefixtures("small")
def test_a_fault_at_the_end_leaves_nothing(database: str) -> None:
    writer = PostgresWriter(database)
    bad = spans(1, 500, end=field(2, field(1, b"x" * 16) + field(2, b"y" * 8) + field(9, b"\xff")))
    outcomes = writer.write([spans(2000, 1), bad, spans(3000, 300)])
    assert [type(one) for one in outcomes] == [Accepted, Invalid, Accepted]
    assert count(database, "spans") == 301
    assert isinstance(writer.check(bad), Invalid)
    writer.close()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("signal", [Signal.METRICS, Signal.LOGS])
def test_points_and_records(database: str, signal: Signal) -> None:
    tables = ["logs"] if signal is Signal.LOGS else [*metrics.COLUMNS]
    writer = PostgresWriter(database)
    request = otlp_raw.filled(signal, NOW)
    # Some of its points differ in their values alone, so that only one of them is stored.
    assert writer.write([otlp_raw.batch(request)]) == [Accepted()]
    one = count(database, *tables)
    many = type(request)()
    for number in range(60):
        for item in otlp_raw.resources(request):
            copy = otlp_raw.resources(many).add()
            copy.CopyFrom(item)
            copy.resource.attributes.append(otlp_raw.attribute("n", number))
            if signal is Signal.LOGS:
                # With a uid they would be the same record.
                copy.scope_logs[0].log_records[0].ClearField("attributes")
    whole = Batch(signal, many.SerializeToString())
    assert writer.write([whole]) == [Accepted()]
    assert count(database, *tables) == 61 * one
    assert writer.write([Batch(signal, whole.payload + field(99, b"another digest"))]) == [Accepted()]
    if signal is Signal.METRICS:
        assert count(database, *tables) == 61 * one
    writer.close()


def test_what_is_too_many_is_refused_alone_and_counted(database: str) -> None:
    writer = PostgresWriter(database, limits=Limits(groups=10, parts=100))
    groups = Batch(Signal.TRACES, field(1, b"") * 20)
    parts = Batch(Signal.LOGS, inside([1, 2, 2], field(6, b"") * 40_000))
    outcomes = writer.write([groups, spans(1, 5), parts])
    assert [type(one) for one in outcomes] == [Invalid, Accepted, Invalid]
    assert [writer.check(one) for one in (groups, parts)] == [outcomes[0], outcomes[2]]
    found = rows(database, "SELECT sum(count)::int AS n FROM otel.losses WHERE effect = 'refused'")
    assert found == [{"n": 2}]
    writer.close()


def test_long_keys_are_not_kept(database: str) -> None:
    writer = PostgresWriter(database)
    long = inside([1], field(1, field(1, field(1, b"k") + field(2, field(1, b"x" * 100_000)))) + field(2, b""))
    assert writer.write([Batch(Signal.TRACES, long)]) == [Accepted()]
    assert not writer._known.resources
    assert len(writer._known.scopes) == 1
    # A stored one is found again, so there is one row.
    assert writer.write([Batch(Signal.TRACES, long + field(99, b""))]) == [Accepted()]
    assert rows(database, "SELECT count(*)::int AS n FROM _otel.resources") == [{"n": 1}]
    writer.close()
