"""Counts the spans, log records or metric points of a request."""

from typing import Any, Final

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outline import Bounds, outline
from otelgres.exporters.wire import Malformed

REQUESTS: Final[dict[Signal, type[Message]]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}


def parse(batch: Batch) -> Any:
    """The parsed request of ``batch``, or None if its bytes are not a request of its signal."""
    try:
        return REQUESTS[batch.signal].FromString(batch.payload)
    except DecodeError:
        return None


def count_items(batch: Batch) -> int:
    """The number of spans, log records or metric points in ``batch``; 0 if its bytes are not a request."""
    try:
        found = outline(batch.signal, batch.payload, _UNBOUNDED)
    except Malformed:
        return 0
    return found.items if found is not None else 0


_UNBOUNDED: Final = Bounds(0, 0, 0)
