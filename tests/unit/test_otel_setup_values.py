"""Whatever an application nests, the request around it can be read back."""

from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_setup.api.values import clean


def endless(kind: type) -> Any:
    """A container that contains itself."""
    inner: Any = kind()
    if kind is dict:
        inner["me"] = inner
    else:
        inner.append(inner)
    return inner


@pytest.mark.parametrize("kind", [dict, list])
def test_the_deepest_value_is_not_too_deep_for_a_receiver(kind: type) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    span: Any = provider.get_tracer("t").start_span("s")
    span.add_event("e", {"k": 1})
    span.end()
    (ended,) = exporter.get_finished_spans()
    # An event's attribute is the deepest place there is.
    ended.events[0]._attributes = {"endless": clean(endless(kind))}
    payload = encode_spans([ended]).SerializeToString()
    assert "nested deeper" in str(ExportTraceServiceRequest.FromString(payload))
