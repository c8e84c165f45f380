"""Counts the spans, log records or metric points of a request."""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
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
    try:
        if batch.signal is Signal.METRICS:
            return sum(
                sum(len(points.data_points) for _, points in metric.ListFields())
                for group in _Metrics.FromString(batch.payload).groups
                for scope in group.scopes
                for metric in scope.metrics
            )
        return sum(len(scope.items) for group in _Items.FromString(batch.payload).groups for scope in group.scopes)
    except DecodeError:
        return 0


def _counting_messages() -> tuple[Any, Any]:
    # As many levels of a request as counting needs, items left as bytes: a twentieth of what parsing them would take.
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="otelgres_items.proto", package="otelgres.items", syntax="proto2")

    def message(name: str, *fields: tuple[str, int, str, bool]) -> None:
        made = file.message_type.add(name=name)
        for field_name, number, kind, repeated in fields:
            label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            added = made.field.add(name=field_name, number=number, label=label)
            if kind:
                added.type, added.type_name = field.TYPE_MESSAGE, f".otelgres.items.{kind}"
            else:
                added.type = field.TYPE_BYTES

    message("Items", ("groups", 1, "ItemsGroup", True))
    message("ItemsGroup", ("scopes", 2, "ItemsScope", True))
    message("ItemsScope", ("items", 2, "", True))
    message("Metrics", ("groups", 1, "MetricsGroup", True))
    message("MetricsGroup", ("scopes", 2, "MetricsScope", True))
    message("MetricsScope", ("metrics", 2, "Metric", True))
    message("Metric", *((f"data_{number}", number, "Points", False) for number in (5, 7, 9, 10, 11)))
    message("Points", ("data_points", 1, "", True))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    items, metrics = (pool.FindMessageTypeByName(f"otelgres.items.{name}") for name in ("Items", "Metrics"))
    return message_factory.GetMessageClass(items), message_factory.GetMessageClass(metrics)


_Items, _Metrics = _counting_messages()
