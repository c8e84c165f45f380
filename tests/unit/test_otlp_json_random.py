"""OTLP/JSON: random requests, made from the descriptors of the real messages, there and back; and random nonsense."""

import json
import math
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.exporters.batch import Signal
from otelgres.exporters.descriptors import is_repeated
from otelgres.exporters.otlp_json import InvalidJson, request_from_json, request_to_json

SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=17),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: st.one_of(
        st.floats(allow_nan=False), st.sampled_from([math.nan, math.inf, -math.inf, -0.0])
    ),
    FieldDescriptor.TYPE_ENUM: st.integers(-(2**31), 2**31 - 1) | st.integers(0, 5),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_SFIXED64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: st.integers(0, 2**64 - 1),
}


@st.composite
def _fields_of(draw: st.DrawFn, descriptor: Any, depth: int = 0) -> dict[str, Any]:
    taken: dict[str, Any] = {}
    chosen = {oneof.name: draw(st.sampled_from([f.name for f in oneof.fields])) for oneof in descriptor.oneofs}
    for field in descriptor.fields:
        oneof = field.containing_oneof
        if oneof is not None and chosen[oneof.name] != field.name:
            continue
        # Towards the leaves everything is drawn; AnyValue, which never ends by itself, is stopped.
        if depth > 7 and field.message_type is not None:
            continue
        if draw(st.integers(0, 4)) == 0:
            continue
        one = _fields_of(field.message_type, depth + 1) if field.message_type else SCALARS[field.type]
        taken[field.name] = draw(st.lists(one, max_size=2) if is_repeated(field) else one)
    return taken


REQUESTS: dict[Signal, type[Message]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}


@pytest.mark.parametrize("signal", Signal)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_request_comes_back_equal(signal: Signal, data: st.DataObject) -> None:
    fields = data.draw(_fields_of(REQUESTS[signal].DESCRIPTOR))
    payload = REQUESTS[signal](**fields).SerializeToString()
    line = request_to_json(signal, payload)
    json.loads(line)
    assert request_from_json(signal, line) == payload


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["resourceSpans", "scopeSpans", "spans", "traceId", "attributes", "value", "key", "kind", "links"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=80, deadline=None)
@given(JSON_VALUES)
def test_any_json_is_taken_or_refused_but_never_crashes(value: Any) -> None:
    try:
        payload = request_from_json(Signal.TRACES, json.dumps(value).encode("utf-8"))
    except InvalidJson:
        return
    ExportTraceServiceRequest.FromString(payload)


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_taken_or_refused_but_never_crash(data: bytes) -> None:
    try:
        request_from_json(Signal.LOGS, data)
    except InvalidJson:
        return
