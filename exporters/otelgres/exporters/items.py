"""Counts the spans, log records or metric points of a request."""

from typing import Any, Final

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.exporters.batch import Batch, Signal

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
    request = parse(batch)
    if request is None:
        return 0
    match batch.signal:
        case Signal.TRACES:
            return sum(len(scope.spans) for group in request.resource_spans for scope in group.scope_spans)
        case Signal.LOGS:
            return sum(len(scope.log_records) for group in request.resource_logs for scope in group.scope_logs)
        case Signal.METRICS:
            metrics = (m for group in request.resource_metrics for scope in group.scope_metrics for m in scope.metrics)
            return sum(len(getattr(metric, metric.WhichOneof("data")).data_points) for metric in metrics
                       if metric.WhichOneof("data"))  # fmt: skip
