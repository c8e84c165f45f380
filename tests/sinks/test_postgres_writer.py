"""What is at fault is refused alone, and everything refused, dropped or repaired is in the ledger."""

import random
from typing import Final

import pytest

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted, Invalid
from otelgres.exporters.postgres.writer import PostgresWriter
from tests import otlp_raw as raw
from tests.sinks.sent import NOW, Connection, batch, losses, names, point, record, request, span, value


def test_invalid_spans_are_rejected_and_valid_ones_stored(writer: PostgresWriter, reader: Connection) -> None:
    bad = [
        span(trace_id=b""), span(trace_id=b"\1" * 15), span(span_id=b"\1" * 9), span(trace_id=bytes(16)),
        span(span_id=bytes(8)),
    ]  # fmt: skip
    one, other = writer.write([batch(span("a"), *bad, span("b")), batch(span("c"))])
    assert isinstance(one, Accepted)
    assert one.rejected == 5
    assert one.message.startswith("5 rejected: ")
    for reason in ("trace_id has 0 bytes, not 16 (1)", "span_id has 9 bytes, not 8 (1)", "all zeros (2)"):
        assert reason in one.message
    assert other == Accepted()
    assert names(reader) == ["a", "b", "c"]
    assert losses(reader) == {("refused", "traces", "invalid_span"): 5}


def test_invalid_points_are_rejected_and_valid_ones_stored(writer: PostgresWriter, reader: Connection) -> None:
    histogram = raw.HistogramDataPoint(time_unix_nano=NOW, bucket_counts=[1, 2], explicit_bounds=[1, 2])
    both = request(point(NOW), point(0), raw.NumberDataPoint(time_unix_nano=NOW))
    metrics = both.resource_metrics[0].scope_metrics[0].metrics
    metrics.add(name=b"nothing")
    metrics.add(name=b"h").histogram.data_points.append(histogram)
    [outcome] = writer.write([raw.batch(both)])
    assert isinstance(outcome, Accepted)
    assert outcome.rejected == 4
    for reason in ("time_unix_nano is 0", "neither a value", "2 bucket_counts do not fit 2", "no data of a known type"):
        assert reason in outcome.message
    assert value(reader, "SELECT count(*) FROM _otel.number_points") == 1
    assert losses(reader) == {("refused", "metrics", "invalid_data_point"): 4}


def test_a_metric_without_points_is_known(writer: PostgresWriter, reader: Connection) -> None:
    empty = request(point(NOW))
    del empty.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[:]
    assert writer.write([raw.batch(empty)]) == [Accepted()]
    assert value(reader, "SELECT name FROM _otel.metrics") == "load"


def _with(data: bytes, path: list[int]) -> bytes:
    """``data`` as a field inside the fields of ``path``, outermost first."""
    for number in reversed(path):
        data = raw.field(number, data)
    return data


MALFORMED: Final = {
    "top level": b"\xff\xff\xff",
    "a truncated field": b"\x0a\x05\x01",
    "resource": _with(b"\xff", [1, 1]),
    "attribute of the resource": _with(b"\x0a\x05k", [1, 1, 1]),
    "scope": _with(b"\x0a\x09", [1, 2, 1]),
    "span": _with(b"\x0a\x10", [1, 2, 2]),
    "status of a span": _with(_with(b"\1" * 16, [1]) + _with(b"\1" * 8, [2]) + _with(b"\x12\x05", [15]), [1, 2, 2]),
    "a varint without an end": _with(
        _with(b"\2" * 16, [1]) + _with(b"\1" * 8, [2]) + _with(b"\x18\xff", [9, 2]), [1, 2, 2]
    ),
    "a group": _with(_with(b"\3" * 16, [1]) + _with(b"\1" * 8, [2]) + _with(b"\x0b\x0c", [9, 2]), [1, 2, 2]),
    "a wrong wire type": _with(_with(b"\4" * 16, [1]) + _with(b"\1" * 8, [2]) + _with(b"\x08\x01", [9]), [1, 2, 2]),
}


@pytest.mark.parametrize("where", MALFORMED)
def test_malformed_bytes_are_invalid_alone(
    where: str, shared_writer: PostgresWriter, shared_reader: Connection
) -> None:
    shared_reader.execute("DELETE FROM _otel.losses")
    before, after = span(f"before {where}"), span(f"after {where}")
    # The damage comes last, behind spans that are well.
    damaged = batch(span("lost"), span("lost")).payload + MALFORMED[where]
    outcomes = shared_writer.write([batch(before), Batch(Signal.TRACES, damaged), batch(after)])
    assert outcomes[::2] == [Accepted(), Accepted()]
    assert isinstance(outcomes[1], Invalid)
    assert outcomes[1].message.startswith("the body is not an OTLP traces request: ")
    assert "otelgres" not in outcomes[1].message
    assert shared_writer.check(Batch(Signal.TRACES, damaged)) == outcomes[1]
    assert losses(shared_reader) == {("refused", "traces", "malformed_request"): 1}
    stored = set(names(shared_reader))
    assert {f"before {where}", f"after {where}"} <= stored
    assert "lost" not in stored


def test_malformed_attributes_in_logs_and_points(shared_writer: PostgresWriter) -> None:
    logs = request(record()).SerializeToString() + _with(b"\x08\x01", [1, 2, 2, 6])
    body = request(record()).SerializeToString() + _with(b"\x18", [1, 2, 2, 5])
    new = point(NOW).SerializeToString() + _with(b"\x08\x01", [7])
    metrics = request(point(NOW)).SerializeToString() + _with(new, [1, 2, 2, 5, 1])
    batches = [Batch(Signal.LOGS, logs), Batch(Signal.LOGS, body), Batch(Signal.METRICS, metrics)]
    outcomes = shared_writer.write(batches)
    assert [type(outcome) for outcome in outcomes] == [Invalid] * 3
    assert [shared_writer.check(one) for one in batches] == outcomes


def test_damaged_and_random_bytes_affect_no_other_request(
    shared_writer: PostgresWriter, shared_reader: Connection
) -> None:
    chance = random.Random(NOW)
    print("seed", NOW)
    valid = [raw.filled(signal, NOW) for signal in Signal]
    for number in range(120):
        groups = []
        for _ in range(6):
            signal = chance.choice(list(Signal))
            data = bytearray(raw.batch(valid[list(Signal).index(signal)]).payload)
            if chance.random() < 0.1:
                data = bytearray(chance.randbytes(chance.randrange(1, 60)))
            for _ in range(chance.choice([1, 1, 2, 5])):
                at = chance.randrange(len(data))
                match chance.randrange(4):
                    case 0:
                        data[at] = chance.randrange(256)
                    case 1:
                        data[at] ^= 1 << chance.randrange(8)
                    case 2:
                        del data[at : at + chance.randrange(1, 4)]
                    case _:
                        data[at:at] = chance.randbytes(chance.randrange(1, 4))
                data = data or bytearray(b"\0")
            groups.append(Batch(signal, bytes(data)))
        name = f"neighbour {number}"
        place = chance.randrange(len(groups))
        outcomes = shared_writer.write([*groups[:place], batch(span(name)), *groups[place:]])
        assert outcomes[place] == Accepted()
        assert all(isinstance(outcome, Accepted | Invalid) for outcome in outcomes)
        for one, outcome in zip(groups, outcomes[:place] + outcomes[place + 1 :], strict=True):
            if isinstance(outcome, Invalid):
                assert "PostgreSQL" not in outcome.message, outcome
                assert shared_writer.check(one) == outcome
        assert value(shared_reader, "SELECT count(*) FROM _otel.spans WHERE name = %s", name) == 1


def test_rows_that_only_postgresql_rejects_are_found_and_others_stored(
    writer: PostgresWriter, reader: Connection
) -> None:
    writer.write([batch(span("first"))])
    reader.execute("ALTER TABLE _otel.spans ADD CONSTRAINT no_poison CHECK (name <> 'poison')")
    for places in ([0], [4], [0, 6], [2, 3], list(range(7))):
        reader.execute("DELETE FROM _otel.losses")
        batches = [batch(span("poison" if place in places else f"well {places} {place}")) for place in range(7)]
        outcomes = writer.write(batches)
        for place, outcome in enumerate(outcomes):
            if place in places:
                assert isinstance(outcome, Invalid)
                assert "no_poison" in outcome.message
            else:
                assert outcome == Accepted()
        assert losses(reader) == {("refused", "traces", "not_storable"): len(places)}
    stored = names(reader)
    assert "poison" not in stored
    assert len(stored) == 1 + 6 + 6 + 5 + 5
    assert value(reader, "SELECT sum(span_count) FROM _otel.flow_parts") == len(stored)


def test_repairs_of_a_resource_are_counted_though_its_group_was_tried_twice(
    writer: PostgresWriter, reader: Connection
) -> None:
    twice = span("twice")
    writer.write([batch(twice)])
    # The first attempt meets the stored span; by the second one the resource is known already.
    writer.write([batch(twice, service="a\0b")])
    assert losses(reader)[("repaired", "dimensions", "nul_character")] == 1


def test_many_out_of_range_times_make_one_partition(writer: PostgresWriter, reader: Connection) -> None:
    day = 86_400_000_000_000
    out_of_range = [0, 1, day, NOW - 400 * day, NOW + 3 * day, 2**63 - 1, 2**63, 2**64 - 1]
    out_of_range += [NOW - number * day for number in range(40, 140)]
    spans = [span("out_of_range", start_time_unix_nano=at, end_time_unix_nano=0) for at in out_of_range]
    records = [record(time_unix_nano=at) for at in out_of_range[1:]]
    points = [point(at) for at in out_of_range[1:]]
    before = value(reader, "SELECT count(*) FROM pg_class WHERE relispartition")
    assert writer.write([batch(*spans), batch(*records), batch(*points)]) == [Accepted()] * 3
    made = value(reader, "SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r'") - before
    assert made <= 5 + 4, "spans, flows, stats, logs and points; digests and losses of today and of an hour ago"
    for table, column, count in (
        ("spans", "start_time", len(out_of_range)),
        ("logs", "time", len(out_of_range) - 1),
        ("number_points", "time", len(out_of_range) - 1),
    ):
        query = f"SELECT count(*) FROM _otel.{table} WHERE {column} = '1970-01-01+00'"
        assert value(reader, query) == count
    found = losses(reader)
    assert found[("repaired", "traces", "time_out_of_bounds")] == len(out_of_range)
    assert found[("repaired", "logs", "time_out_of_bounds")] == len(out_of_range) - 1
    assert found[("repaired", "metrics", "time_out_of_bounds")] == len(out_of_range) - 1
    assert value(reader, "SELECT sum(span_count) FROM _otel.flow_parts") == len(out_of_range)


def test_a_loss_from_elsewhere_can_be_recorded_before_anything_was_written(
    writer: PostgresWriter, reader: Connection
) -> None:
    writer.record_loss("dropped", "logs", "spool_full", 3, "a\0b")
    assert losses(reader) == {("dropped", "logs", "spool_full"): 3}
