"""What a tenant's token sends belongs to that tenant: its resources are marked on arrival, before anything is kept.

Costs nothing for whoever has no tenant. Refuses to know transports, and who reads what.
"""

from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Invalid

ATTRIBUTE: Final = "tenant.id"
_REQUESTS: Final[dict[Signal, tuple[Any, str]]] = {
    Signal.TRACES: (ExportTraceServiceRequest, "resource_spans"),
    Signal.METRICS: (ExportMetricsServiceRequest, "resource_metrics"),
    Signal.LOGS: (ExportLogsServiceRequest, "resource_logs"),
}


def with_tenant(batch: Batch, tenant: str) -> Batch | Invalid:
    """The batch with ``tenant.id`` on every resource. One that names another tenant is refused as a whole.

    Unknown fields stay. The same bytes give the same bytes, so that a request sent again is still recognised.
    """
    message, groups = _REQUESTS[batch.signal]
    try:
        request = message.FromString(batch.payload)
    except DecodeError as error:
        return Invalid(f"the body is not an OTLP {batch.signal} request: {error}")
    for group in getattr(request, groups):
        found = [one for one in group.resource.attributes if one.key == ATTRIBUTE]
        for one in found:
            if one.value.WhichOneof("value") != "string_value" or one.value.string_value != tenant:
                return Invalid(
                    f"this token belongs to tenant {tenant!r}, and a resource says {ATTRIBUTE} of another: "
                    "leave the attribute out, or use that tenant's token"
                )
        if not found:
            group.resource.attributes.add(key=ATTRIBUTE).value.string_value = tenant
    return Batch(batch.signal, request.SerializeToString(deterministic=True))
