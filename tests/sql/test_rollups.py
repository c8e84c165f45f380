"""What the trigger keeps up to date equals what the spans say, however they came and whoever wrote."""

import contextlib
import itertools
import math
import os
import random
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sql import rows
from tests.sql.conftest import Ask
from tests.sql.rows import CHECKPOINT, MS, NOON, Connection, Span, span_id

KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
TYPES: dict[int | None, str] = {rows.FLOW: "flow", rows.PHASE: "phase"}
TRACES = [uuid.UUID(int=n) for n in range(1, 5)]
MONDAY = datetime(2026, 3, 9, tzinfo=UTC)
# Around the change of weeks, a minute and half a second apart.
MOMENTS = [
    rows.unix_nano(MONDAY) + minutes * 60_000 * MS + half * 500 * MS for minutes in (-2, -1, 0) for half in (0, 1)
]
LATENCIES = [0, 1, 900, 5 * MS, 5 * MS + 1, 70_000 * MS, -4 * MS]


@st.composite
def spans(draw: st.DrawFn) -> Span:
    start = draw(st.sampled_from(MOMENTS)) + draw(st.integers(0, 2))
    role = draw(st.sampled_from([None, None, rows.FLOW, CHECKPOINT]))
    return Span(
        trace=draw(st.sampled_from(TRACES)),
        id=span_id(draw(st.integers(1, 40))),
        parent=draw(st.sampled_from([None, span_id(50)])),
        start=start,
        end=start if role == CHECKPOINT else start + draw(st.sampled_from(LATENCIES)),
        name=draw(st.sampled_from(["read", "write"])),
        kind=draw(st.integers(0, 5)),
        status=draw(st.sampled_from([None, 0, 1, 2])),
        role=role,
        service=draw(st.sampled_from(["shop", "depot"])),
        attributes={"otelgres.flow.name": draw(st.sampled_from(["a", "b"]))} if role else None,
    )


def key(span: Span) -> tuple[Any, ...]:
    return span.trace, span.id, span.stored


def flows_of(stored: list[Span]) -> dict[uuid.UUID, dict[str, Any]]:
    """otel.flows, worked out from the spans."""
    answer = {}
    for trace in {span.trace for span in stored}:
        mine = sorted((s for s in stored if s.trace == trace), key=lambda s: (s.start, s.id))
        roots = [s for s in mine if s.parent is None]
        names = [s.attributes["otelgres.flow.name"] for s in mine if s.role and s.attributes]
        errors = sum(s.status == 2 for s in mine)
        status = {None: "UNSET", 0: "UNSET", 1: "OK", 2: "ERROR"}[roots[0].status if roots else 2 if errors else 0]
        answer[trace] = {
            "flow_id": trace,
            "name": roots[0].name if roots else min(names) if names else mine[0].name,
            "flow_name": min(names, default=None),
            "start_time_unix_nano": mine[0].start,
            "end_time_unix_nano": max(max(s.start, s.end) for s in mine),
            "span_count": len(mine),
            "error_count": errors,
            "services": sorted({s.service for s in mine}),
            "checkpoint_path": [name for _, name in sorted((s.start, s.name) for s in mine if s.role == CHECKPOINT)],
            "complete": bool(roots),
            "status": status,
            "root_span_id": roots[0].id.hex() if roots else None,
        }
    return answer


def bucket(nanoseconds: int) -> int:
    return round(4 * (math.log10(max(nanoseconds, 1)) / 0.301029995663981195))


def add_up(connection: Connection, *, half: bool) -> None:
    """Adds the changed hours up; with ``half`` it is cut short, as by a receiver that dies."""
    hours = connection.execute("SELECT hour, taken FROM _otel.hours_to_roll_up('2100-01-01')").fetchall()
    for hour in hours[: len(hours) // 2] if half else hours:
        connection.execute("SELECT _otel.roll_up_hour(%s, %s)", hour)


def by_operation(span: Span) -> tuple[Any, ...]:
    minute = span.stored.replace(second=0, microsecond=0)
    return minute, span.service, span.name, KINDS[span.kind], TYPES.get(span.role)


def by_service(span: Span) -> tuple[Any, ...]:
    return span.stored.replace(second=0, microsecond=0), span.service, KINDS[span.kind]


def by_hour(span: Span) -> tuple[Any, ...]:
    minute, *rest = by_operation(span)
    return minute.replace(minute=0), *rest


def statistics_of(
    stored: list[Span], group_of: Callable[[Span], tuple[Any, ...]]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """A roll-up, worked out from the spans."""
    groups = defaultdict(list)
    for span in stored:
        if span.role != CHECKPOINT:
            groups[group_of(span)].append(span)
    answer = {}
    for group, mine in groups.items():
        latencies = sorted(s.end - s.start for s in mine)

        def quantile(q: float, latencies: list[int] = latencies) -> float:
            rank = max(math.ceil(q * len(latencies)), 1)
            about = 2 ** (bucket(latencies[rank - 1]) / 4) / 1e6
            return max(min(about, latencies[-1] / 1e6), latencies[0] / 1e6)

        answer[group] = {
            "count": len(mine),
            "error_count": sum(s.status == 2 for s in mine),
            "error_ratio": sum(s.status == 2 for s in mine) / len(mine),
            "duration_sum_ms": sum(latencies) / 1e6,
            "avg_ms": sum(latencies) / 1e6 / len(mine),
            "min_ms": latencies[0] / 1e6,
            "max_ms": latencies[-1] / 1e6,
            "p50_ms": quantile(0.5),
            "p95_ms": quantile(0.95),
            "p99_ms": quantile(0.99),
            "histogram": Counter(bucket(latency) for latency in latencies),
        }
    return answer


def histogram(row: dict[str, Any]) -> Counter[int]:
    counts: Counter[int] = Counter()
    for at, count in zip(row["latency_buckets"], row["latency_counts"], strict=True):
        counts[at] += count
    return counts


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    drawn=st.lists(spans(), min_size=1, max_size=25, unique_by=key),
    cuts=st.lists(st.integers(0, 25), max_size=4),
    order=st.randoms(use_true_random=False),
    added_up=st.sets(st.integers(0, 4)),
)
def test_rollups_equal_what_the_spans_say(
    ready: Connection, ask: Ask, drawn: list[Span], cuts: list[int], order: random.Random, added_up: set[int]
) -> None:
    arriving = drawn + order.sample(drawn, len(drawn) // 2)
    order.shuffle(arriving)
    bounds = [0, *sorted(min(cut, len(arriving)) for cut in cuts), len(arriving)]
    with ready.transaction(force_rollback=True):
        for number, (low, high) in enumerate(itertools.pairwise(bounds)):
            if low < high:
                rows.insert(ready, arriving[low:high], again=True)
            if number in added_up:
                add_up(ready, half=number % 2 == 1)
        found = {
            by_operation: ask("SELECT * FROM otel.span_stats"),
            by_service: ask("SELECT * FROM otel.service_stats"),
            by_hour: ask("SELECT * FROM otel.hour_stats"),
        }
        flows = ask("SELECT * FROM otel.flows")
    expected = flows_of(drawn)
    assert len(flows) == len(expected)
    for row in flows:
        wanted = expected[row["flow_id"]]
        assert {name: row[name] for name in wanted} == wanted
    for group_of, stats in found.items():
        wanted_stats = statistics_of(drawn, group_of)
        assert len(stats) == len(wanted_stats)
        for row in stats:
            names = ("minute", "hour", "service_name", "name", "kind", "type")
            wanted = wanted_stats[tuple(row[name] for name in names if name in row)]
            assert histogram(row) == wanted.pop("histogram")
            assert {name: row[name] for name in wanted if name in row} == pytest.approx(
                {name: value for name, value in wanted.items() if name in row}
            )


@pytest.fixture
def ready(connection: Connection) -> Connection:
    times = [NOON, MONDAY - timedelta(days=1), MONDAY]
    rows.make_partitions(connection, times, *rows.SPAN_TABLES)
    for service in ("shop", "depot"):
        rows.resource(connection, service)
    rows.scope(connection)
    return connection


def test_quantiles_of_merged_histograms(ask: Ask) -> None:
    ms = [2 ** (b / 4) / 1e6 for b in range(130)]
    query = "SELECT otel.latency_quantiles(%s::smallint[], %s::bigint[], %s) AS q"
    assert ask(query, [80, 90, 100], [50, 45, 5], [0.0, 0.5, 0.51, 0.95, 0.951, 1.0]) == [
        {"q": pytest.approx([ms[80], ms[80], ms[90], ms[90], ms[100], ms[100]])}
    ]
    assert ask(query, [90, 100, 80, 90], [40, 5, 50, 5], [0.5, 0.95, 1.0]) == [
        {"q": pytest.approx([ms[80], ms[90], ms[100]])}
    ]
    assert ask(query, [], [], [0.5, 0.9]) == [{"q": [None, None]}]
    assert ask(query, None, None, [0.5]) == [{"q": [None]}]
    merged = ask(
        "SELECT otel.latency_quantiles(otel.array_concat(b), otel.array_concat(c), '{0.5}') AS q "
        "FROM (VALUES ('{80,90}'::smallint[], '{1,9}'::bigint[]), ('{100}', '{1}')) AS v (b, c)"
    )
    assert merged == [{"q": pytest.approx([ms[90]])}]


# -- writers at once --


def now_span(trace: uuid.UUID, **values: Any) -> Span:
    start = rows.unix_nano(datetime.now(UTC))
    return Span(trace=trace, start=start, end=start + MS, **values)


@pytest.fixture
def writers(ready: Connection, database: str) -> Iterator[tuple[Connection, Connection]]:
    """Two connections whose statistics have different slots."""
    now = datetime.now(UTC)
    rows.make_partitions(
        ready,
        [now - timedelta(days=1), now, now + timedelta(days=1)],
        "spans",
        "span_stats",
        "service_stats",
        "flow_parts",
    )
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(psycopg.connect(database))]
        while len(opened) < 2 or opened[0].info.backend_pid % 64 == opened[-1].info.backend_pid % 64:
            opened.append(stack.enter_context(psycopg.connect(database)))
        yield opened[0], opened[-1]


def near_the_change_of_weeks() -> bool:
    since_monday = datetime.now(UTC) - MONDAY
    return since_monday % timedelta(days=7) < timedelta(minutes=15) or since_monday % timedelta(days=7) > timedelta(
        days=6, hours=23, minutes=45
    )


@pytest.mark.skipif(near_the_change_of_weeks(), reason="writers take turns around Monday 00:00 UTC, on purpose")
def test_two_writers_of_the_same_operation_do_not_wait_for_each_other(
    writers: tuple[Connection, Connection], ask: Ask
) -> None:
    one, other = writers
    rows.insert(one, [now_span(TRACES[0], name="same") for _ in range(3)])
    other.execute("SET lock_timeout = '3s'")
    rows.insert(other, [now_span(TRACES[1], name="same") for _ in range(4)])
    other.commit()
    one.commit()
    assert ask("SELECT sum(count) AS count FROM otel.span_stats WHERE name = 'same'") == [{"count": 7}]


def test_two_writers_of_the_same_flow_take_turns(writers: tuple[Connection, Connection], ask: Ask) -> None:
    one, other = writers
    rows.insert(one, [now_span(TRACES[0], parent=span_id(1), status=2)])
    with ThreadPoolExecutor(1) as pool:

        def write() -> None:
            rows.insert(other, [now_span(TRACES[0], id=span_id(1), name="root", service="depot")])
            other.commit()

        waiting = pool.submit(write)
        deadline = time.monotonic() + 20
        while not ask("SELECT 1 WHERE %s = ANY (pg_blocking_pids(%s))", one.info.backend_pid, other.info.backend_pid):
            assert time.monotonic() < deadline
            assert not waiting.done()
        one.commit()
        waiting.result(timeout=20)
    assert ask("SELECT name, span_count, error_count, services, complete FROM otel.flows") == [
        {"name": "root", "span_count": 2, "error_count": 1, "services": ["depot", "shop"], "complete": True}
    ]


def test_two_writers_of_the_same_flows_never_deadlock(writers: tuple[Connection, Connection], ask: Ask) -> None:
    rounds, traces = 15, [uuid.UUID(bytes=os.urandom(16)) for _ in range(30)]
    barrier = threading.Barrier(2)

    def write(connection: Connection, seed: int) -> None:
        order = random.Random(seed)
        for _ in range(rounds):
            batch = [now_span(trace, name=f"n{order.randrange(5)}") for trace in order.sample(traces, len(traces))]
            barrier.wait(timeout=20)
            rows.insert(connection, batch)
            connection.commit()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(write, connection, seed) for seed, connection in enumerate(writers)]:
            done.result(timeout=60)
    assert ask("SELECT count(*) AS flows, min(span_count) AS least, max(span_count) AS most FROM otel.flows") == [
        {"flows": len(traces), "least": 2 * rounds, "most": 2 * rounds}
    ]
    assert ask("SELECT sum(count) AS count FROM otel.span_stats") == [{"count": 2 * rounds * len(traces)}]


def test_two_writers_that_begin_one_flow_in_two_weeks_link_it(writers: tuple[Connection, Connection], ask: Ask) -> None:
    one, other = writers
    before, after = rows.unix_nano(MONDAY) - MS, rows.unix_nano(MONDAY) + MS
    rows.insert(one, [Span(trace=TRACES[0], start=before, end=after, name="root")])
    with ThreadPoolExecutor(1) as pool:

        def write() -> None:
            rows.insert(other, [Span(trace=TRACES[0], start=after, end=after, parent=span_id(1))])
            other.commit()

        waiting = pool.submit(write)
        deadline = time.monotonic() + 20
        while not ask("SELECT 1 WHERE %s = ANY (pg_blocking_pids(%s))", one.info.backend_pid, other.info.backend_pid):
            assert time.monotonic() < deadline
            assert not waiting.done()
        one.commit()
        waiting.result(timeout=20)
    assert ask("SELECT name, span_count FROM otel.flows") == [{"name": "root", "span_count": 2}]
