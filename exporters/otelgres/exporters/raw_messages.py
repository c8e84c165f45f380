"""OTLP's request messages with every string as bytes: a sender may put there what is not UTF-8.

The classes are made from the descriptors of opentelemetry-proto, so that a field of a newer release is in them.
"""

from functools import cache
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from otelgres.exporters.batch import Signal

_REQUESTS: Final = {
    Signal.TRACES: "collector.trace.v1.ExportTraceServiceRequest",
    Signal.METRICS: "collector.metrics.v1.ExportMetricsServiceRequest",
    Signal.LOGS: "collector.logs.v1.ExportLogsServiceRequest",
}


def request_class(signal: Signal) -> Any:
    """The message class of a request of ``signal``."""
    return message_class(_REQUESTS[signal])


@cache
def message_class(name: str) -> Any:
    """The message class of a name in opentelemetry.proto, such as ``trace.v1.Span``."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"opentelemetry.proto.{name}"))


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()

    def add(file: Any) -> None:
        if file.name in added:
            return
        added.add(file.name)
        for dependency in file.dependencies:
            add(dependency)
        proto = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(proto)
        for message in proto.message_type:
            _strings_as_bytes(message)
        pool.Add(proto)

    for module in (trace_service_pb2, metrics_service_pb2, logs_service_pb2):
        add(module.DESCRIPTOR)
    return pool


def _strings_as_bytes(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        if field.type == field.TYPE_STRING:
            field.type = field.TYPE_BYTES
    for nested in message.nested_type:
        _strings_as_bytes(nested)
