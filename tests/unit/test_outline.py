"""Requests are counted on the wire as protobuf counts them once they are parsed, and refused before they are."""

import random
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from otelgres.exporters import outline as outlined
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.descriptors import is_repeated
from otelgres.exporters.items import count_items
from otelgres.exporters.outline import Bounds, Outline, TooManyParts, outline
from otelgres.exporters.postgres.codec.messages import LogsRequest, MetricsRequest, TracesRequest
from otelgres.exporters.wire import Malformed
from tests import otlp_raw, otlp_strategies
from tests.attack.amplifiers import amplifiers
from tests.attack.wire import field, inside
from tests.fuzz import corpus, mutate

UNBOUNDED = Bounds(0, 0, 0)
# As the codec parses a request, since that is what must not be larger than was counted.
PARSED = {Signal.TRACES: TracesRequest, Signal.LOGS: LogsRequest, Signal.METRICS: MetricsRequest}


def counted(signal: Signal, request: Any) -> Outline:
    """The outline of a parsed request."""
    found = Outline()
    for group in _repeated_messages(request):
        found.groups += 1
        for scope in _repeated_messages(group):
            found.groups += 1
            for item in _repeated_messages(scope):
                if signal is Signal.METRICS:
                    found.metrics += 1
                    data = [value for _, value in item.ListFields() if hasattr(value, "data_points")]
                    found.items += sum(len(one.data_points) for one in data)
                else:
                    found.items += 1
    return found


def _repeated_messages(message: Any) -> Iterable[Any]:
    for one, value in message.ListFields():
        if is_repeated(one) and one.message_type is not None:
            yield from value


@settings(max_examples=100)
@given(data=st.data())
def test_counts_are_those_of_the_parsed_request(data: st.DataObject) -> None:
    signal = data.draw(st.sampled_from(Signal))
    payload = data.draw(otlp_strategies.REQUESTS[signal]).SerializeToString()
    exact = counted(signal, PARSED[signal].FromString(payload))
    assert outline(signal, payload, UNBOUNDED) == exact
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outlined, "_PARSED", -1)  # scope groups as if they were large
        assert outline(signal, payload, UNBOUNDED) == exact


def test_damaged_requests_are_malformed_or_counted_as_they_are_parsed() -> None:
    rng = random.Random(7)
    both = 0
    for number in range(6000):
        signal = [*Signal][number % 3]
        payload = mutate.wire(corpus.REQUESTS[signal], [corpus.REQUESTS[signal]], rng)
        try:
            parsed = PARSED[signal].FromString(payload)
        except DecodeError:
            parsed = None
        try:
            found = outline(signal, payload, UNBOUNDED)
        except Malformed:
            continue
        if parsed is None:
            continue  # inside of an item, which is not entered
        both += 1
        assert found is not None
        exact = counted(signal, parsed)
        # Of a metric's data only the last kind is kept.
        assert (found.metrics, found.groups) == (exact.metrics, exact.groups)
        assert found.items >= exact.items
        assert signal is Signal.METRICS or found.items == exact.items
    assert both > 1000


def test_every_repeated_field_of_an_item_is_a_part() -> None:
    def check(name: str, descriptor: Any, seen: set[str]) -> None:
        if descriptor.full_name in seen:
            return
        seen.add(descriptor.full_name)
        parts = outlined._PARTS.get(name, {})
        for one in descriptor.fields:
            if is_repeated(one):
                assert one.number in parts, f"{descriptor.full_name}.{one.name}"
            if one.message_type is not None and one.number in parts:
                part = parts[one.number]
                if outlined._PARTS[part]:
                    check(part, one.message_type, seen)
                else:
                    assert not [inner for inner in one.message_type.fields if is_repeated(inner)]
            elif is_repeated(one) and one.type not in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
                assert parts[one.number] in ("varints", "eight bytes")

    seen: set[str] = set()
    for name, message in (
        ("Resource", otlp_raw.Resource), ("Scope", otlp_raw.Scope), ("Span", otlp_raw.Span),
        ("LogRecord", otlp_raw.LogRecord), ("NumberDataPoint", otlp_raw.NumberDataPoint),
        ("HistogramDataPoint", otlp_raw.HistogramDataPoint),
        ("ExponentialHistogramDataPoint", otlp_raw.ExponentialHistogramDataPoint),
        ("SummaryDataPoint", otlp_raw.SummaryDataPoint),
    ):  # fmt: skip
        check(name, message.DESCRIPTOR, seen)
    assert {one.number for one in otlp_raw.Metric.DESCRIPTOR.fields if one.message_type} - {12} == set(outlined.POINTS)


LARGE = 70_000


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (field(1, b"") * 6, "more than the limit of 5 resource and scope groups: split it"),
        (inside([1], field(2, b"") * 5), "more than the limit of 5 resource and scope groups: split it"),
        (inside([1, 2], field(2, b"") * 8), "at least 8 items, more than the limit of 7: split it"),
        (inside([1, 2, 2], field(9, b"") * 9 + field(99, b"x" * LARGE)), "limit of 8 parts"),
        (inside([1, 1], field(1, b"") * 9 + field(99, b"x" * LARGE)), "a resource has more than the limit of 8 parts"),
        (inside([1, 2, 1], field(3, b"") * 9 + field(99, b"x" * LARGE)), "a scope has more than the limit of 8 parts"),
        (inside([1], field(3, b"") * 100), "more than 40 fields around its items"),
        (field(77, b"") * 100, "more than 40 fields around its items"),
    ],
)
def test_what_is_too_many_is_refused(signal: Signal, payload: bytes, words: str) -> None:
    if "limit of 8 parts" in words and "an item" not in words and signal is not Signal.TRACES:
        pytest.skip("the number of the field is a span's")
    with pytest.raises(TooManyParts, match=words):
        outline(signal, payload, Bounds(items=7, groups=5, parts=8))
    assert outline(signal, payload, UNBOUNDED) is not None


@pytest.mark.parametrize(
    ("path", "unit"),
    [([5], 1), ([5, 1], 7), ([5, 1], 5), ([9, 1], 8), ([10, 1], 11), ([11, 1], 6), ([], 12)],
    ids=["points", "attributes", "exemplars", "histogram", "exponential", "quantiles", "metadata"],
)
def test_parts_of_metrics_are_counted(path: list[int], unit: int) -> None:
    many = inside([1, 2, 2, *path], field(unit, b"") * 9 + field(99, b"x" * LARGE))
    with pytest.raises(TooManyParts):
        outline(Signal.METRICS, many, Bounds(items=8, groups=5, parts=8))


@pytest.mark.parametrize("packed", [field(8, field(2, b"\x80\x01" * 9)), field(8, b"\x10\x01" * 9)])
def test_buckets_are_counted_by_their_numbers(packed: bytes) -> None:
    point = inside([1, 2, 2, 10, 1], packed + field(99, b"x" * LARGE))
    with pytest.raises(TooManyParts):
        outline(Signal.METRICS, point, Bounds(parts=9))
    assert outline(Signal.METRICS, point, Bounds(parts=12)) == Outline(1, 1, 2)


def test_with_a_number_of_steps_it_does_not_take_more() -> None:
    items = inside([1, 2], field(2, field(1, b"x")) * 100)
    assert outline(Signal.TRACES, items, UNBOUNDED, steps=200) == Outline(100, 0, 2)
    assert outline(Signal.TRACES, items, UNBOUNDED, steps=50) is None
    for amplifier in amplifiers():
        if not amplifier.json:
            body = amplifier.make(100_000)
            # Without entering anything large, whatever it is.
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(outlined, "_PARTS", None)
                with suppress(Malformed):
                    outline(amplifier.signal, body, UNBOUNDED, steps=1000)


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize(("path", "number"), [([], 1), ([], 99), ([1], 2), ([1], 3), ([1, 2], 2), ([1, 2], 3)])
def test_no_level_is_counted_to_the_end_with_a_number_of_steps(signal: Signal, path: list[int], number: int) -> None:
    # Its last field is malformed: who finds it has been through all of them.
    payload = inside(path, field(number, b"") * 300_000) + b"\xff"
    assert outline(signal, payload, UNBOUNDED, 4096) is None
    with pytest.raises(Malformed):
        outline(signal, payload, UNBOUNDED)


def test_a_malformed_request_has_no_items() -> None:
    assert count_items(Batch(Signal.TRACES, b"\xff")) == 0
    assert count_items(Batch(Signal.TRACES, corpus.REQUESTS[Signal.TRACES])) == 2
