"""The tenant processor: adds the tenant of the request's token to every resource before the batch is stored."""

from typing import Final

from google.protobuf.message import DecodeError

from otelgres.collector.outcomes import Reason, Rejected
from otelgres.collector.processors.slicing import Slicer
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Invalid
from otelgres.exporters.raw_messages import request_class

ATTRIBUTE: Final = "tenant.id"
_KEY: Final = ATTRIBUTE.encode()
_GROUPS: Final = {
    Signal.TRACES: "resource_spans",
    Signal.METRICS: "resource_metrics",
    Signal.LOGS: "resource_logs",
}


class TenantProcessor:
    """Adds the attribute to batches whose token has a tenant. For one event loop."""

    def __init__(self) -> None:
        self._slicer = Slicer()

    async def process(self, batch: Batch, tenant: str | None) -> Batch:
        """The batch with ``tenant.id`` on every resource. Raises Rejected."""
        if tenant is None:
            return batch
        return await self._slicer.changed(batch, lambda part: with_tenant(part, tenant))


def with_tenant(batch: Batch, tenant: str) -> Batch:
    """The batch with ``tenant.id`` first in every resource. Raises Rejected if a resource names another tenant.

    First, and once: so no limit on attributes and no later attribute of the same name takes it away. Unknown fields are
    kept, and so is text that is not UTF-8. Equal input gives equal output, so that a retried request is recognised.
    """
    mark = tenant.encode()
    try:
        request = request_class(batch.signal).FromString(batch.payload)
    except DecodeError as error:
        malformed = Invalid(f"the body is not an OTLP {batch.signal} request: {error}")
        raise Rejected(Reason.MALFORMED, malformed) from None
    for group in getattr(request, _GROUPS[batch.signal]):
        attributes = group.resource.attributes
        others = []
        for one in attributes:
            if one.key != _KEY:
                others.append(one)
            elif one.value.WhichOneof("value") != "string_value" or one.value.string_value != mark:
                message = (
                    f"this token belongs to tenant {tenant!r}, but a resource has another {ATTRIBUTE}: "
                    "omit the attribute, or use that tenant's token"
                )
                raise Rejected(Reason.TENANT, Invalid(message), sample=message)
        del attributes[:]
        attributes.add(key=_KEY).value.string_value = mark
        attributes.extend(others)
    return Batch(batch.signal, request.SerializeToString(deterministic=True))
