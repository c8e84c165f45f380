"""Our own descriptors read the same wire as opentelemetry-proto's: every field is held against the original."""

from typing import Any, Final

import pytest
from google.protobuf.descriptor import FieldDescriptor as Field
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from otelgres.exporters.descriptors import is_repeated
from otelgres.exporters.postgres.codec import messages
from tests import otlp_raw

_ROOTS: Final = {
    "TracesRequest": trace_service_pb2.ExportTraceServiceRequest.DESCRIPTOR,
    "MetricsRequest": metrics_service_pb2.ExportMetricsServiceRequest.DESCRIPTOR,
    "LogsRequest": logs_service_pb2.ExportLogsServiceRequest.DESCRIPTOR,
}
# What travels the same way: a string or a message is bytes, an enum an int32.
_SAME_WIRE: Final = {
    Field.TYPE_STRING: {Field.TYPE_BYTES},
    Field.TYPE_BYTES: {Field.TYPE_BYTES},
    Field.TYPE_MESSAGE: {Field.TYPE_MESSAGE, Field.TYPE_BYTES},
    Field.TYPE_ENUM: {Field.TYPE_INT32},
}


def originals() -> dict[str, Any]:
    """Every message reachable from a request, by the name that we have for it."""
    found: dict[str, Any] = {}

    def walk(name: str, descriptor: Any) -> None:
        if name in found:
            assert found[name] is descriptor, f"two messages are called {name}"
            return
        found[name] = descriptor
        for field in descriptor.fields:
            if field.message_type:
                walk(field.message_type.name, field.message_type)

    for name, descriptor in _ROOTS.items():
        walk(name, descriptor)
    return found


ORIGINALS: Final = originals()
FIELDS: Final = [(name, *field) for name, fields in messages.MESSAGES.items() for field in fields]


@pytest.mark.parametrize(("message", "field", "number", "kind", "repeated"), FIELDS, ids=lambda value: str(value))
def test_field_is_compatible_with_the_original(
    message: str, field: str, number: int, kind: Any, repeated: bool
) -> None:
    original = ORIGINALS[message].fields_by_name[field]
    assert number == original.number
    assert repeated == is_repeated(original)
    if isinstance(kind, str):
        assert original.message_type.name == kind
    else:
        assert kind in _SAME_WIRE.get(original.type, {original.type})


def test_oneofs_are_the_originals() -> None:
    for message in messages.MESSAGES:
        theirs = [
            tuple(field.name for field in oneof.fields if field.name in names)
            for oneof in ORIGINALS[message].oneofs
            for names in [{name for name, *_ in messages.MESSAGES[message]}]
            if len(oneof.fields) > 1
        ]
        ours = [messages.ONEOFS[message]] if message in messages.ONEOFS else []
        assert [sorted(names) for names in ours] == [sorted(names) for names in theirs]


def test_packed_and_unpacked_numbers_are_both_read() -> None:
    packed = bytes.fromhex("3210 0100000000000000 0200000000000000")
    unpacked = bytes.fromhex("31 0100000000000000 31 0200000000000000")
    assert ("bucket_counts", 6) in [known[:2] for known in messages.MESSAGES["HistogramDataPoint"]]
    for wire in (packed, unpacked):
        data = _within(wire, 1, 9, 2, 2, 1)
        request = messages.MetricsRequest.FromString(data)
        metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
        point = messages.HistogramDataPoint.FromString(metric.histogram.data_points[0])
        assert list(point.bucket_counts) == [1, 2]


def _within(data: bytes, *numbers: int) -> bytes:
    for number in numbers:
        data = otlp_raw.field(number, data)
    return data
