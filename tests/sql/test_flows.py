"""Flows and checkpoints as people see them: exact values, across midnight and weeks, in whatever order spans come."""

import itertools
import random
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.sql import rows
from tests.sql.conftest import Ask
from tests.sql.rows import CHECKPOINT, FLOW, MS, NOON, PHASE, Connection, Span

TRACE = uuid.UUID("4bf92f3577b34da6a3ce929d0e0e4736")
BASE = rows.unix_nano(NOON)
MONDAY = datetime(2026, 3, 9, tzinfo=UTC)
NAMED = {"otelgres.flow.name": "order"}


def at(ms: float) -> datetime:
    return NOON + timedelta(milliseconds=ms)


def test_a_complete_flow(connection: Connection, ask: Ask) -> None:
    root = Span(
        trace=TRACE, start=BASE + 1, end=BASE + 100 * MS, name="POST /order", status=1, role=FLOW, attributes=NAMED
    )
    first = Span(
        trace=TRACE,
        parent=root.id,
        start=BASE + 20 * MS,
        end=BASE + 20 * MS,
        name="RECEIVED",
        role=CHECKPOINT,
        attributes={**NAMED, "symbol": "AAPL"},
    )
    second = Span(
        trace=TRACE,
        parent=root.id,
        start=BASE + 50 * MS,
        end=BASE + 50 * MS,
        name="STORED",
        role=CHECKPOINT,
        service="depot",
        attributes=NAMED,
        status=2,
    )
    rows.insert(connection, [second])
    rows.insert(
        connection, [root, first, Span(trace=TRACE, parent=root.id, start=BASE + 60 * MS, end=BASE + 110 * MS + 7)]
    )
    assert ask("SELECT * FROM otel.flows") == [
        {
            "flow_id": TRACE,
            "trace_id": TRACE.hex,
            "name": "POST /order",
            "flow_name": "order",
            "start_time": NOON,
            "end_time": at(110),
            "duration_ms": pytest.approx(110.000006),
            "span_count": 4,
            "error_count": 1,
            "services": ["depot", "shop"],
            "checkpoint_path": ["RECEIVED", "STORED"],
            "last_checkpoint": "STORED",
            "last_checkpoint_time": at(50),
            "checkpoint_count": 2,
            "complete": True,
            "status": "OK",
            "root_span_id": root.id.hex(),
            "start_time_unix_nano": BASE + 1,
            "end_time_unix_nano": BASE + 110 * MS + 7,
        }
    ]
    assert ask("SELECT * FROM otel.checkpoints ORDER BY time") == [
        {
            "flow_id": TRACE,
            "trace_id": TRACE.hex,
            "flow_name": "order",
            "checkpoint": "RECEIVED",
            "time": at(20),
            "time_unix_nano": first.start,
            "since_start_ms": pytest.approx(19.999999),
            "since_previous_ms": None,
            "service_name": "shop",
            "attributes": {**NAMED, "symbol": "AAPL"},
            "span_id": first.id.hex(),
            "parent_span_id": root.id.hex(),
            "status": "UNSET",
        },
        {
            "flow_id": TRACE,
            "trace_id": TRACE.hex,
            "flow_name": "order",
            "checkpoint": "STORED",
            "time": at(50),
            "time_unix_nano": second.start,
            "since_start_ms": pytest.approx(49.999999),
            "since_previous_ms": 30,
            "service_name": "depot",
            "attributes": NAMED,
            "span_id": second.id.hex(),
            "parent_span_id": root.id.hex(),
            "status": "ERROR",
        },
    ]


def test_a_flow_without_a_root_is_named_by_the_application_or_by_its_earliest_span(
    connection: Connection, ask: Ask
) -> None:
    absent = rows.span_id(99)
    phase = Span(
        trace=TRACE, parent=absent, start=BASE + MS, end=BASE + 2 * MS, name="ship", role=PHASE, attributes=NAMED
    )
    rows.insert(
        connection, [phase, Span(trace=TRACE, parent=absent, start=BASE, end=BASE + MS, name="early", status=2)]
    )
    other = uuid.uuid4()
    # the same microsecond: only the nanoseconds tell which is the earliest
    rows.insert(
        connection, [Span(trace=other, parent=absent, start=BASE + n, end=BASE + n, name=f"n{n}") for n in (9, 3, 5)]
    )
    query = (
        "SELECT name, flow_name, complete, status, checkpoint_path, last_checkpoint FROM otel.flows WHERE flow_id = %s"
    )
    assert [tuple(row.values()) for row in ask(query, TRACE)] == [("order", "order", False, "ERROR", [], None)]
    assert [tuple(row.values()) for row in ask(query, other)] == [("n3", None, False, "UNSET", [], None)]
    rows.insert(connection, [Span(trace=TRACE, id=absent, start=BASE, end=BASE + 9 * MS, name="root")])
    assert [tuple(row.values()) for row in ask(query, TRACE)] == [("root", "order", True, "UNSET", [], None)]


@pytest.mark.parametrize("change", [MONDAY, MONDAY + timedelta(days=2)], ids=["weeks", "days"])
def test_a_flow_across_midnight_is_one_flow(connection: Connection, ask: Ask, change: datetime) -> None:
    midnight = rows.unix_nano(change)
    root = Span(
        trace=TRACE,
        start=midnight - 20 * MS,
        end=midnight + 30 * MS,
        name="night",
        status=1,
        role=FLOW,
        attributes=NAMED,
    )
    before = Span(
        trace=TRACE,
        parent=root.id,
        start=midnight - 10 * MS,
        end=midnight - 10 * MS,
        name="BEFORE",
        role=CHECKPOINT,
        attributes=NAMED,
    )
    after = Span(
        trace=TRACE,
        parent=root.id,
        start=midnight + 10 * MS,
        end=midnight + 10 * MS,
        name="AFTER",
        role=CHECKPOINT,
        service="depot",
        status=2,
    )
    expected = {
        "flow_id": TRACE,
        "name": "night",
        "flow_name": "order",
        "start_time": change - timedelta(milliseconds=20),
        "end_time": change + timedelta(milliseconds=30),
        "duration_ms": 50,
        "span_count": 3,
        "error_count": 1,
        "services": ["depot", "shop"],
        "checkpoint_path": ["BEFORE", "AFTER"],
        "last_checkpoint": "AFTER",
        "complete": True,
        "status": "OK",
        "root_span_id": root.id.hex(),
    }
    columns = ", ".join(expected)
    rows.make_partitions(connection, {root.stored, after.stored}, *rows.SPAN_TABLES)
    for order in itertools.permutations([root, before, after]):
        with connection.transaction(force_rollback=True):
            for span in order:
                rows.insert(connection, [span])
            assert ask(f"SELECT {columns} FROM otel.flows") == [expected]
            assert ask(f"SELECT {columns} FROM otel.flows WHERE flow_id = %s", TRACE) == [expected]
            assert ask(f"SELECT {columns} FROM otel.flows WHERE trace_id = %s", TRACE.hex) == [expected]
            day = timedelta(days=1)
            found_by_start = f"SELECT {columns} FROM otel.flows WHERE start_time >= %s AND start_time < %s"
            assert ask(found_by_start, change - day, change) == [expected]
            assert ask(found_by_start, change, change + day) == []
            assert ask(
                "SELECT checkpoint, since_start_ms, since_previous_ms FROM otel.checkpoints WHERE time >= %s", change
            ) == [{"checkpoint": "AFTER", "since_start_ms": 30, "since_previous_ms": 20}]
            assert ask("SELECT phase, self_ms, share FROM otel.phase_timing WHERE flow_id = %s", TRACE) == [
                {"phase": "night", "self_ms": 50, "share": 1}
            ]


@pytest.mark.parametrize(
    "roots", [(True, True, True), (True, False, False), (False, False, True), (False, False, False)]
)
def test_a_flow_with_a_pause_of_weeks_is_one_flow(connection: Connection, ask: Ask, roots: tuple[bool, ...]) -> None:
    starts = [rows.unix_nano(NOON + timedelta(days=days)) for days in (0, 15, 37)]
    spans = [
        Span(trace=TRACE, start=start, end=start + MS, name=f"s{n}", parent=None if is_root else rows.span_id(99))
        for n, (start, is_root) in enumerate(zip(starts, roots, strict=True))
    ]
    rows.make_partitions(connection, {span.stored for span in spans}, *rows.SPAN_TABLES)
    for order in itertools.permutations(spans):
        with connection.transaction(force_rollback=True):
            for span in order:
                rows.insert(connection, [span])
            assert ask("SELECT name, span_count, start_time, end_time_unix_nano FROM otel.flows") == [
                {
                    "name": next((s.name for s in spans if s.parent is None), "s0"),
                    "span_count": 3,
                    "start_time": NOON,
                    "end_time_unix_nano": spans[-1].end,
                }
            ]


def test_a_flow_with_an_out_of_range_time_appears_once(connection: Connection, ask: Ask) -> None:
    root = Span(trace=TRACE, start=BASE, end=BASE + MS, name="root")
    out_of_range = Span(trace=TRACE, parent=root.id, start=5, end=2**63 - 1, start_time=rows.EPOCH, name="out_of_range")
    rows.insert(connection, [root])
    rows.insert(connection, [out_of_range])
    assert ask("SELECT name, span_count, start_time, start_time_unix_nano, end_time_unix_nano FROM otel.flows") == [
        {
            "name": "root",
            "span_count": 2,
            "start_time": rows.EPOCH,
            "start_time_unix_nano": 5,
            "end_time_unix_nano": 2**63 - 1,
        }
    ]
    assert {row["phase"] for row in ask("SELECT phase FROM otel.phase_timing")} == {"root", "out_of_range"}
    assert len(ask("SELECT * FROM otel.span_tree(%s)", TRACE)) == 2
    assert ask("SELECT name, duration_ms FROM otel.critical_path(%s)", TRACE) == [
        {"name": "out_of_range", "duration_ms": 1}
    ]


def test_more_checkpoints_than_a_flow_keeps(connection: Connection, ask: Ask) -> None:
    moments = list(range(300))
    random.Random(1).shuffle(moments)
    for start in range(0, 300, 100):
        rows.insert(
            connection,
            [
                Span(
                    trace=TRACE,
                    start=BASE + n * MS,
                    end=BASE + n * MS,
                    name=f"c{n:03}",
                    role=CHECKPOINT,
                    parent=rows.span_id(9),
                )
                for n in moments[start : start + 100]
            ],
        )
    (flow,) = ask("SELECT checkpoint_count, checkpoint_path[1] AS first, last_checkpoint FROM otel.flows")
    assert flow == {"checkpoint_count": 256, "first": "c044", "last_checkpoint": "c299"}
    found = ask("SELECT since_start_ms, since_previous_ms FROM otel.checkpoints ORDER BY time")
    assert [row["since_start_ms"] for row in found] == list(range(300))
    assert [row["since_previous_ms"] for row in found] == [None] + [1] * 299


def test_checkpoints_at_one_moment_have_the_same_previous(connection: Connection, ask: Ask) -> None:
    moments = [0, 10, 10, 15]
    rows.insert(
        connection,
        [Span(trace=TRACE, start=BASE + n * MS, end=BASE + n * MS, name="same", role=CHECKPOINT) for n in moments],
    )
    found = ask("SELECT since_previous_ms FROM otel.checkpoints ORDER BY time")
    assert [row["since_previous_ms"] for row in found] == [None, 10, 10, 5]
