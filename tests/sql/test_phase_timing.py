"""phase_timing, span_tree and critical_path on random traces, against a telling of their meaning in plain Python."""

import dataclasses
import itertools
import random
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sql import rows
from tests.sql.conftest import Ask
from tests.sql.rows import CHECKPOINT, MS, NOON, Connection, Span, span_id

TRACE = uuid.UUID("0af7651916cd43dd8448eb211c80319c")
BASE = rows.unix_nano(NOON)
# Less than a microsecond: start_time cannot tell neighbours apart, the nanoseconds can.
TICK = 300
ABSENT = span_id(999)

property_test = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A span in ticks; ``parent`` is an index, -1 an absent span, None a root."""

    start: int
    length: int
    parent: int | None
    checkpoint: bool


@st.composite
def traces(draw: st.DrawFn, *, cycles: bool = False) -> list[Span]:
    size = draw(st.integers(1, 12))
    spans = []
    for index in range(size):
        parents = st.integers(0, size - 1) if cycles else st.integers(0, max(index - 1, 0))
        drawn = Drawn(
            start=draw(st.integers(0, 12)),
            length=draw(st.integers(-2, 10)),
            parent=draw(st.one_of(parents, st.sampled_from([None, -1]))) if index or cycles else None,
            checkpoint=draw(st.integers(0, 5)) == 0,
        )
        start = BASE + drawn.start * TICK
        parent = None if drawn.parent is None else ABSENT if drawn.parent < 0 else span_id(drawn.parent + 1)
        spans.append(
            Span(
                trace=TRACE,
                id=span_id(index + 1),
                parent=parent,
                start=start,
                end=start if drawn.checkpoint else start + drawn.length * TICK,
                role=CHECKPOINT if drawn.checkpoint else None,
                name=f"n{index}",
            )
        )
    return spans


def ticks(span: Span) -> set[int]:
    """The moments at which a span is at work."""
    return set(range(span.start, span.end, TICK))


def oracle(spans: list[Span]) -> dict[str, tuple[int, int, float | None]]:
    """span id -> (self, wait, share of the flow), the first two in nanoseconds."""
    phases = [span for span in spans if span.role != CHECKPOINT]
    flow = max(max(s.end, s.start) for s in spans) - min(s.start for s in spans)
    by_id = {span.id: span for span in phases}
    answer = {}
    for span in phases:
        at_work = ticks(span)
        alone = at_work.difference(*(ticks(c) for c in phases if c.parent == span.id and c is not span))
        wait = 0
        if span.parent is not None and span.parent != span.id:
            siblings = [
                s
                for s in phases
                if s.parent == span.parent and s.id != s.parent and s is not span and s.start < span.start
            ]
            if siblings:
                wait = span.start - max(max(s.end, s.start) for s in siblings)
            elif span.parent in by_id:
                wait = span.start - by_id[span.parent].start
        share = max(span.end - span.start, 0) / flow if flow else None
        answer[span.id.hex()] = (len(alone) * TICK, max(wait, 0), share)
    return answer


def nanoseconds(milliseconds: float) -> int:
    return round(milliseconds * MS)


@pytest.fixture
def ready(connection: Connection) -> Connection:
    # Partitions and dimensions, so that an example need not make its own.
    rows.insert(connection, [Span(trace=uuid.uuid4(), start=BASE, end=BASE)])
    return connection


@property_test
@given(spans=traces(), order=st.randoms(use_true_random=False))
def test_phase_timing_is_what_the_oracle_says(
    ready: Connection, ask: Ask, spans: list[Span], order: random.Random
) -> None:
    order.shuffle(spans)
    half = len(spans) // 2
    with ready.transaction(force_rollback=True):
        for part in (spans[:half], spans[half:]):  # the second half is late
            if part:
                rows.insert(ready, part)
        found = ask("SELECT * FROM otel.phase_timing WHERE flow_id = %s", TRACE)
        answer = {
            row["span_id"]: (nanoseconds(row["self_ms"]), nanoseconds(row["wait_ms"]), row["share"]) for row in found
        }
        assert len(found) == len(answer)
        expected = oracle(spans)
        assert answer == {key: (own, wait, pytest.approx(share)) for key, (own, wait, share) in expected.items()}
        by_time = ask("SELECT span_id FROM otel.phase_timing WHERE start_time >= %s AND trace_id = %s", NOON, TRACE.hex)
        assert {row["span_id"] for row in by_time} == set(expected)


@property_test
@given(spans=traces(cycles=True))
def test_the_critical_path_is_as_long_as_the_root(ready: Connection, ask: Ask, spans: list[Span]) -> None:
    with ready.transaction(force_rollback=True):
        rows.insert(ready, spans)
        path = ask("SELECT * FROM otel.critical_path(%s)", TRACE)
        assert path == ask("SELECT * FROM otel.critical_path(%s::text)", TRACE.hex)
    by_id = {span.id.hex(): span for span in spans}
    ids = {span.id for span in spans}
    tops = [span for span in spans if span.parent is None]
    if tops:
        root = min(tops, key=lambda s: (s.start, s.id))
    else:
        # the orphan that ended last; if all hang in cycles, whatever ended last
        tops = [span for span in spans if span.parent not in ids] or spans
        root = max(tops, key=lambda s: (max(s.end, s.start), -s.start, -int.from_bytes(s.id)))
    assert sum(nanoseconds(row["duration_ms"]) for row in path) == max(root.end - root.start, 0)
    at = root.start
    for row in path:
        assert nanoseconds(row["offset_ms"]) == at - root.start
        end = at + nanoseconds(row["duration_ms"])
        span = by_id[row["span_id"]]
        assert span.start <= at <= end <= max(span.end, span.start)
        at = end
    assert [row["n"] for row in path] == list(range(1, len(path) + 1))
    if root.end > root.start:
        assert sum(row["share"] for row in path) == pytest.approx(1)


@property_test
@given(spans=traces(cycles=True))
def test_the_tree_has_every_span_once_below_its_parent(ready: Connection, ask: Ask, spans: list[Span]) -> None:
    with ready.transaction(force_rollback=True):
        rows.insert(ready, spans)
        tree = ask("SELECT * FROM otel.span_tree(%s)", TRACE)
        assert tree == ask("SELECT * FROM otel.span_tree(%s::text)", TRACE.hex)
    assert sorted(row["span_id"] for row in tree) == sorted(span.id.hex() for span in spans)
    assert [row["n"] for row in tree] == list(range(1, len(tree) + 1))
    ids = {row["span_id"] for row in tree}
    own = oracle(spans)
    branch: list[str] = []
    for row, following in itertools.zip_longest(tree, tree[1:]):
        branch[row["depth"] :] = [row["span_id"]]
        assert row["label"] == "  " * row["depth"] + row["name"]
        assert nanoseconds(row["self_ms"]) == own.get(row["span_id"], (0, 0, 0))[0]
        if row["depth"]:
            assert row["parent_span_id"] == branch[row["depth"] - 1]
        elif row["parent_span_id"] in ids:  # opened here, because it hangs in a cycle
            assert hangs_in_a_cycle(row["span_id"], spans)
        assert following is None or following["depth"] <= row["depth"] + 1


def hangs_in_a_cycle(start: str, spans: list[Span]) -> bool:
    parents = {span.id: span.parent for span in spans}
    at: bytes | None = bytes.fromhex(start)
    for _ in spans:
        at = parents.get(at) if at else None
    return at is not None and at in parents


def test_siblings_come_in_the_order_of_time(connection: Connection, ask: Ask) -> None:
    root = Span(trace=TRACE, start=BASE, end=BASE + 100 * MS, name="root")
    late = Span(trace=TRACE, parent=root.id, start=BASE + 50 * MS, end=BASE + 90 * MS, name="late", status=2)
    early = Span(trace=TRACE, parent=root.id, start=BASE + 10 * MS, end=BASE + 40 * MS, name="early", kind=rows.CLIENT)
    inner = Span(trace=TRACE, parent=early.id, start=BASE + 20 * MS, end=BASE + 30 * MS, name="inner", service="stock")
    rows.insert(connection, [late, inner, early, root])
    tree = ask(
        "SELECT label, offset_ms, duration_ms, self_ms, service_name, kind, status FROM otel.span_tree(%s)", TRACE
    )
    assert [tuple(row.values()) for row in tree] == [
        ("root", 0, 100, 30, "shop", "INTERNAL", "UNSET"),
        ("  early", 10, 30, 20, "shop", "CLIENT", "UNSET"),
        ("    inner", 20, 10, 10, "stock", "INTERNAL", "UNSET"),
        ("  late", 50, 40, 40, "shop", "INTERNAL", "ERROR"),
    ]
    path = ask("SELECT name, offset_ms, duration_ms, share, service_name FROM otel.critical_path(%s)", TRACE)
    assert [tuple(row.values()) for row in path] == [
        ("root", 0, 10, 0.1, "shop"),
        ("early", 10, 10, 0.1, "shop"),
        ("inner", 20, 10, 0.1, "stock"),
        ("early", 30, 10, 0.1, "shop"),
        ("root", 40, 10, 0.1, "shop"),
        ("late", 50, 40, 0.4, "shop"),
        ("root", 90, 10, 0.1, "shop"),
    ]


def test_phase_timing_of_a_flow(connection: Connection, ask: Ask) -> None:
    root = Span(trace=TRACE, start=BASE, end=BASE + 100 * MS, name="order", kind=rows.SERVER)
    spans = [
        root,
        Span(trace=TRACE, parent=root.id, start=BASE + 10 * MS, end=BASE + 40 * MS, name="validate"),
        Span(trace=TRACE, parent=root.id, start=BASE + 30 * MS, end=BASE + 60 * MS, name="price", status=2),
        Span(trace=TRACE, parent=root.id, start=BASE + 70 * MS, end=BASE + 120 * MS, name="ship", service="depot"),
        Span(trace=TRACE, parent=root.id, start=BASE + 65 * MS, end=BASE + 65 * MS, name="PRICED", role=CHECKPOINT),
    ]
    rows.insert(connection, spans)
    found = ask(
        "SELECT flow_id, trace_id, phase, service_name, kind, start_time, start_time_unix_nano, duration_ms, self_ms, "
        "wait_ms, share, status, parent_span_id, flow_start_time FROM otel.phase_timing ORDER BY start_time_unix_nano"
    )
    common, below = (TRACE, TRACE.hex), (root.id.hex(), NOON)
    assert [tuple(row.values()) for row in found] == [
        (*common, "order", "shop", "SERVER", root.stored, BASE, 100, 20, 0, 100 / 120, "UNSET", None, NOON),
        (*common, "validate", "shop", "INTERNAL", spans[1].stored, spans[1].start, 30, 30, 10, 0.25, "UNSET", *below),
        (*common, "price", "shop", "INTERNAL", spans[2].stored, spans[2].start, 30, 30, 0, 0.25, "ERROR", *below),
        (*common, "ship", "depot", "INTERNAL", spans[3].stored, spans[3].start, 50, 50, 10, 50 / 120, "UNSET", *below),
    ]


def test_siblings_that_begin_together_have_waited_equally_long(connection: Connection, ask: Ask) -> None:
    root = Span(trace=TRACE, start=BASE, end=BASE + 100 * MS)
    begin = BASE + 10 * MS
    ends = (begin, begin + 10 * MS, begin + 20 * MS)
    rows.insert(
        connection, [root, *(Span(trace=TRACE, parent=root.id, start=begin, end=end, name="together") for end in ends)]
    )
    query = "SELECT wait_ms, self_ms FROM otel.phase_timing WHERE phase = 'together' ORDER BY self_ms"
    assert [tuple(row.values()) for row in ask(query)] == [(10, 0), (10, 10), (10, 20)]


def test_nothing_is_found_for_an_unknown_trace(ask: Ask) -> None:
    assert ask("SELECT * FROM otel.span_tree(%s)", TRACE) == []
    assert ask("SELECT * FROM otel.critical_path(%s)", TRACE) == []
