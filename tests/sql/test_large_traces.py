"""Traces of ten thousand spans, of the shapes that make recursive queries slow: deep, wide, a ring without a root."""

import uuid

import pytest

from tests.sql import rows
from tests.sql.conftest import Ask
from tests.sql.rows import MS, NOON, Connection, Span, span_id

SIZE = 10_000
TRACE = uuid.UUID("0af7651916cd43dd8448eb211c80319c")
BASE = rows.unix_nano(NOON)

DEEP = [
    Span(
        trace=TRACE,
        id=span_id(n),
        parent=span_id(n - 1) if n > 1 else None,
        start=BASE + n * 1000,
        end=BASE + (3 * SIZE - n) * 1000,
    )
    for n in range(1, SIZE + 1)
]
WIDE = [
    Span(
        trace=TRACE,
        id=span_id(n),
        parent=span_id(1) if n > 1 else None,
        start=BASE + n * MS,
        end=BASE + (n + 2 if n > 1 else 2 * SIZE) * MS,
    )
    for n in range(1, SIZE + 1)
]
RING = [
    Span(trace=TRACE, id=span_id(n), parent=span_id(n - 1 or SIZE), start=BASE + n * 1000, end=BASE + n * 1000 + MS)
    for n in range(1, SIZE + 1)
]


@pytest.mark.parametrize(
    ("spans", "depth", "on_the_path"), [(DEEP, SIZE - 1, 2 * SIZE - 1), (WIDE, 1, SIZE), (RING, SIZE - 1, 1)]
)
def test_a_large_trace_is_drawn_within_seconds(
    connection: Connection, ask: Ask, spans: list[Span], depth: int, on_the_path: int
) -> None:
    for first in range(0, SIZE, 1000):
        rows.insert(connection, spans[first : first + 1000])
    # Each takes about half a second. What grows with the square of the spans takes minutes.
    connection.execute("SET statement_timeout = '60s'")
    tree = ask("SELECT span_id, depth FROM otel.span_tree(%s)", TRACE)
    assert {row["span_id"] for row in tree} == {span.id.hex() for span in spans}
    assert len(tree) == SIZE
    assert max(row["depth"] for row in tree) == depth
    assert len(ask("SELECT FROM otel.critical_path(%s)", TRACE)) >= on_the_path
    assert len(ask("SELECT FROM otel.phase_timing WHERE flow_id = %s", TRACE)) == SIZE
    (flow,) = ask("SELECT span_count, complete FROM otel.flows WHERE flow_id = %s", TRACE)
    assert flow == {"span_count": SIZE, "complete": spans is not RING}
