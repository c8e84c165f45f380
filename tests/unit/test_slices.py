"""A request in slices is the same request: every item once, in order, under its resource and scope."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelgres.exporters import slices as sliced
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.postgres.codec.decode import COLUMNS, _AnyId, add_rows, parse, parts_of
from otelgres.exporters.postgres.codec.dimensions import Missing
from otelgres.exporters.postgres.codec.known import Known
from otelgres.exporters.postgres.codec.limits import Limits
from otelgres.exporters.postgres.codec.rows import Bounds, Caches, Group, RejectedItems
from otelgres.exporters.slices import slices
from tests import otlp_raw, otlp_strategies
from tests.attack.wire import field, fixed64, inside

BOUNDS = Bounds(0, 2**63 - 1, otlp_strategies.NOW)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sliced, "SLICE_BYTES", 64)
    monkeypatch.setattr(sliced, "SLICE_PARTS", 3)


def rows(batches: list[Batch]) -> tuple[Any, ...]:
    """What is stored of them, and for the client."""
    caches = Caches()
    total = RejectedItems()
    tables: dict[str, bytes] = {}
    dimensions: set[Any] = set()
    days: dict[str, set[int]] = {}
    losses: dict[Any, int] = {}
    for batch in batches:
        missing = Missing()
        parse(batch, Known(), missing)
        dimensions |= {*missing.resources.values(), *missing.scopes.values(), *missing.metrics.values()}
        group = Group(BOUNDS)
        # Ids by content: a constant would hide an item under another's resource.
        known = Known(_Ids(), _Ids(), _Ids())
        total += add_rows(batch, parse(batch, known, Missing()), known, caches, group)
        for table, index, key in group.pending:
            group.parts[table][index] = repr(key).encode()
        for table in COLUMNS:
            tables[table] = tables.get(table, b"") + b"".join(group.parts.get(table, ()))
            days[table] = days.get(table, set()) | group.days.get(table, set())
        for entry, count in group.losses.counts.items():
            losses[entry] = losses.get(entry, 0) + count
    return tables, dimensions, days, losses, total


class _Ids(_AnyId):
    def __missing__(self, key: Any) -> int:
        return hash(key) & 0x7FFFFFFF


@pytest.mark.usefixtures("small")
@settings(max_examples=100)
@given(data=st.data())
def test_slices_of_random_requests(data: st.DataObject) -> None:
    signal = data.draw(st.sampled_from(Signal))
    drawn = data.draw(st.lists(otlp_strategies.REQUESTS[signal], min_size=1, max_size=3))
    check(signal, b"".join(one.SerializeToString() for one in drawn))


def check(signal: Signal, payload: bytes) -> list[bytes]:
    parts = [*slices(signal, payload)]
    whole, joined = (otlp_raw.REQUESTS[signal].FromString(one) for one in (payload, b"".join(parts)))
    assert otlp_raw.items(joined) == otlp_raw.items(whole)
    assert rows([Batch(signal, part) for part in parts]) == rows([Batch(signal, payload)])
    return parts


SPAN = field(1, b"t" * 16) + field(2, b"s" * 8)


@pytest.mark.usefixtures("small")
def test_messages_that_protobuf_merges() -> None:
    point = field(1, fixed64(3, otlp_strategies.NOW) + fixed64(6, 1))
    # The other data first, then the same one twice, around settings of their own.
    metric = field(5, point) + field(1, b"a name")
    metric += field(7, b"\x10\x01" + point * 3) + field(7, point * 3 + b"\x10\x02\x18\x01")
    parts = check(Signal.METRICS, inside([1, 2], field(2, metric) * 3))
    assert len(parts) >= 6
    resource = field(1, field(1, field(1, b"first")))
    scoped = field(2, field(1, field(1, b"x")) + field(2, SPAN) * 3 + field(1, field(1, b"last")) + field(3, b"url"))
    other = field(1, field(1, field(1, b"other")))
    parts = check(Signal.TRACES, field(1, resource + scoped + other + scoped + field(3, b"url") + field(99, b"?")) * 2)
    assert len(parts) >= 4
    # A group without items still has a resource.
    check(Signal.LOGS, field(1, resource) * 9 + field(1, resource + field(2, b"") * 9) + field(50, b"unknown"))


@pytest.mark.usefixtures("small")
def test_what_is_in_one_item_is_not_copied() -> None:
    payload = inside([1, 2, 2], SPAN + field(5, b"x" * 1000))
    (only,) = slices(Signal.TRACES, payload)
    assert only is payload


def test_slices_are_bounded_in_bytes_and_parts() -> None:
    for unit in (field(2, SPAN), field(2, SPAN + field(5, b"x" * 300))):
        parts = [*slices(Signal.TRACES, inside([1, 2], unit * 20_000))]
        assert max(map(len, parts)) <= sliced.SLICE_BYTES + 100
        assert max(part.count(SPAN) for part in parts) <= sliced.SLICE_PARTS
    groups = field(1, field(1, b"") + field(2, field(2, SPAN)))
    assert all(part.count(SPAN) <= sliced.SLICE_PARTS for part in slices(Signal.TRACES, groups * 10_000))


def test_a_small_request_of_many_parts_is_decoded_in_slices() -> None:
    batch = Batch(Signal.TRACES, inside([1, 2], field(2, b"") * 5000))
    assert len([*parts_of(batch, Limits())]) == 2
    few = Batch(Signal.TRACES, inside([1, 2], field(2, b"") * 1000))
    assert [*parts_of(few, Limits())] == [few]
