"""services, service_edges and service_map; span_stats' words (its figures are in test_rollups)."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.sql import rows
from tests.sql.conftest import Ask
from tests.sql.rows import CHECKPOINT, CLIENT, CONSUMER, MS, NOON, PRODUCER, SERVER, Connection, Span

TRACE = uuid.UUID(int=7)
OTHER = uuid.UUID(int=8)
BASE = rows.unix_nano(NOON)
LOCAL, REMOTE = 0x100, 0x300


def test_services_are_counted_over_the_last_day(connection: Connection, ask: Ask) -> None:
    now = datetime.now(UTC)
    minute_ago, long_ago = rows.unix_nano(now - timedelta(minutes=1)), rows.unix_nano(now - timedelta(hours=26))
    rows.resource(connection, "idle")
    rows.resource(connection, "shop", host="two")
    rows.insert(
        connection,
        [
            *(Span(trace=TRACE, start=minute_ago, end=minute_ago + 10 * MS, name=f"n{n % 3}") for n in range(9)),
            Span(trace=TRACE, start=minute_ago, end=minute_ago + 110 * MS, status=2),
            Span(trace=TRACE, start=minute_ago, end=minute_ago, role=CHECKPOINT),
            Span(trace=OTHER, start=long_ago, end=long_ago + MS),
            Span(trace=OTHER, start=long_ago, end=long_ago + MS, service="old"),
        ],
    )
    connection.execute("UPDATE _otel.resources SET first_seen = now() - interval '30 hours'")
    found = {row.pop("service_name"): row for row in ask("SELECT * FROM otel.services")}
    assert found.keys() == {"shop", "idle", "old"}
    seen = {name: (row.pop("first_seen"), row.pop("last_seen")) for name, row in found.items()}
    (arrival,) = {first for first, _ in seen.values()}
    assert abs(now - timedelta(hours=30) - arrival) < timedelta(minutes=5)
    assert {name: last for name, (_, last) in seen.items()} == {
        "shop": (now - timedelta(minutes=1)).replace(second=0, microsecond=0),
        "idle": arrival,
        "old": arrival,
    }
    about = pytest.approx
    assert found["shop"] == {
        "span_count": 10, "error_count": 1, "error_ratio": 0.1, "avg_ms": about(20), "p50_ms": about(10, rel=0.09),
        "p95_ms": about(110, rel=0.09), "instance_count": 2,
    }  # fmt: skip
    assert found["idle"] == {
        "span_count": 0, "error_count": 0, "error_ratio": None, "avg_ms": None, "p50_ms": None, "p95_ms": None,
        "instance_count": 1,
    }  # fmt: skip


def test_calls_between_services(connection: Connection, ask: Ask) -> None:
    client = Span(trace=TRACE, start=BASE, end=BASE + 20 * MS, name="ask", kind=CLIENT)
    server = Span(
        trace=TRACE, parent=client.id, start=BASE + 5 * MS, end=BASE + 15 * MS, name="answer", kind=SERVER,
        service="depot", status=2, flags=REMOTE,
    )  # fmt: skip
    idle = [  # none of these is a call
        Span(trace=TRACE, parent=client.id, start=BASE, end=BASE, kind=SERVER),
        Span(trace=TRACE, parent=server.id, start=BASE, end=BASE, service="depot", flags=LOCAL),
        Span(trace=TRACE, parent=server.id, start=BASE, end=BASE, role=CHECKPOINT),
        Span(trace=TRACE, parent=rows.span_id(2**60), start=BASE, end=BASE, kind=SERVER),
    ]
    rows.insert(connection, [client, server, *idle])
    assert ask("SELECT * FROM otel.service_edges") == [
        {
            "start_time": server.stored,
            "caller": "shop",
            "callee": "depot",
            "caller_kind": "CLIENT",
            "callee_kind": "SERVER",
            "caller_operation": "ask",
            "callee_operation": "answer",
            "duration_ms": 10,
            "is_error": True,
            "flow_id": TRACE,
            "trace_id": TRACE.hex,
            "caller_span_id": client.id.hex(),
            "callee_span_id": server.id.hex(),
        }
    ]


def test_messages_between_services_by_parent_by_link_and_by_both(connection: Connection, ask: Ask) -> None:
    producer = Span(trace=TRACE, start=BASE, end=BASE + MS, kind=PRODUCER)
    link = {"trace_id": TRACE.hex, "span_id": producer.id.hex()}
    absent = {"trace_id": OTHER.hex, "span_id": "00000000000000ff"}
    late = BASE + 3_600_000 * MS

    def consumer(ms: int, trace: uuid.UUID, **values: Any) -> Span:
        return Span(trace=trace, start=late, end=late + ms * MS, kind=CONSUMER, service="mailer", **values)

    rows.insert(
        connection,
        [
            producer,
            consumer(1, TRACE, parent=producer.id),
            consumer(2, OTHER, links=[link, absent]),
            consumer(3, TRACE, parent=producer.id, links=[link]),
        ],
    )
    assert ask("SELECT duration_ms FROM otel.service_edges ORDER BY 1") == [{"duration_ms": n} for n in (1, 2, 3)]
    since = NOON + timedelta(minutes=30)
    assert ask("SELECT * FROM otel.service_map(%s, %s)", since, since + timedelta(hours=1)) == [
        {
            "caller": "shop",
            "callee": "mailer",
            "caller_kind": "PRODUCER",
            "callee_kind": "CONSUMER",
            "count": 3,
            "error_count": 0,
            "avg_ms": 2,
            "max_ms": 3,
        }
    ]
    assert ask("SELECT * FROM otel.service_map(%s, %s)", NOON, since) == []
    assert ask("SELECT * FROM otel.service_map()") == []


def test_span_stats_of_several_writers_are_one_row(connection: Connection, ask: Ask) -> None:
    rows.insert(connection, [Span(trace=TRACE, start=BASE, end=BASE + 4 * MS, kind=SERVER)])
    connection.execute("UPDATE _otel.span_stats SET slot = (slot + 1) % 64")
    rows.insert(connection, [Span(trace=TRACE, start=BASE, end=BASE + 2 * MS, kind=SERVER, status=2)])
    assert ask("SELECT count(*) FROM _otel.span_stats") == [{"count": 2}]
    (found,) = ask("SELECT * FROM otel.span_stats WHERE kind = 'SERVER' AND minute = %s", NOON)
    buckets, counts = found.pop("latency_buckets"), found.pop("latency_counts")
    assert sorted(zip(buckets, counts, strict=True)) == [(84, 1), (88, 1)]
    assert found == {
        "minute": NOON, "service_name": "shop", "name": "work", "kind": "SERVER", "count": 2, "error_count": 1,
        "error_ratio": 0.5, "duration_sum_ms": 6, "avg_ms": 3, "min_ms": 2, "max_ms": 4,
        "p50_ms": pytest.approx(2.097152), "p95_ms": 4, "p99_ms": 4, "type": None,
    }  # fmt: skip
