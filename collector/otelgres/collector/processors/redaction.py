"""The redaction processor: removes secrets from requests, by the same rules as in the library.

It is off by default, because every request must then be parsed and serialised again.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import yaml
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.collector.processors.slicing import Slicer
from otelgres.collector.telemetry.rejections import RejectionCounters
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.redaction import REDACTED, Redaction, rules

_REQUESTS: Final[dict[Signal, Any]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}


def load_redaction(setting: str) -> Redaction | None:
    """The rules of the setting ``redact``: ``defaults``, a YAML file, or none. Raises ValueError."""
    if setting in ("", "off"):
        return None
    if setting == "defaults":
        return Redaction()
    try:
        given = yaml.safe_load(Path(setting).read_text(encoding="utf-8"))
        return rules(given if isinstance(given, dict) else {"keys, values or defaults are missing": True})
    except (OSError, ValueError, yaml.YAMLError, re.error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).splitlines()[0]
        raise ValueError(f"redact must be defaults, off, or a file of rules; {setting}: {reason}.") from None


class RedactionProcessor:
    """Redacts one batch at a time in a thread, so that a large one does not block the event loop."""

    def __init__(self, rules: Redaction, rejections: RejectionCounters) -> None:
        self._redactor = Redactor(rules)
        self._rejections = rejections
        self._slicer = Slicer(at_once=1)

    async def process(self, batch: Batch, tenant: str | None) -> Batch:
        """The redacted batch; the rules are the same for every ``tenant``."""
        count = 0

        def redacted(part: Batch) -> Batch:
            nonlocal count
            part, changed = self._redactor.redacted(part)
            count += changed
            return part

        batch = await self._slicer.changed(batch, redacted)
        if count:
            self._rejections.add("redaction", batch.signal, "redacted", count=count, effect="repaired")
        return batch


class Redactor:
    """Redacts requests by ``rules``. Not thread-safe: the rules cache names."""

    def __init__(self, rules: Redaction) -> None:
        self._rules = rules
        self._count = 0

    def redacted(self, batch: Batch) -> tuple[Batch, int]:
        """The redacted batch and the number of changed values. A malformed batch is returned unchanged."""
        try:
            request = _REQUESTS[batch.signal].FromString(batch.payload)
        except DecodeError:
            return batch, 0
        self._count = 0
        match batch.signal:
            case Signal.TRACES:
                self._traces(request)
            case Signal.LOGS:
                self._logs(request)
            case Signal.METRICS:
                self._metrics(request)
        if not self._count:
            return batch, 0
        return Batch(batch.signal, request.SerializeToString(deterministic=True)), self._count

    def _traces(self, request: Any) -> None:
        for group in request.resource_spans:
            self._pairs(group.resource.attributes)
            for scope in group.scope_spans:
                self._pairs(scope.scope.attributes)
                for span in scope.spans:
                    self._field(span, "name")
                    self._field(span.status, "message")
                    self._pairs(span.attributes)
                    for event in span.events:
                        self._field(event, "name")
                        self._pairs(event.attributes)
                    for link in span.links:
                        self._pairs(link.attributes)

    def _logs(self, request: Any) -> None:
        for group in request.resource_logs:
            self._pairs(group.resource.attributes)
            for scope in group.scope_logs:
                self._pairs(scope.scope.attributes)
                for record in scope.log_records:
                    self._value(record.body)
                    self._pairs(record.attributes)

    def _metrics(self, request: Any) -> None:
        for group in request.resource_metrics:
            self._pairs(group.resource.attributes)
            for scope in group.scope_metrics:
                self._pairs(scope.scope.attributes)
                for metric in scope.metrics:
                    data = metric.WhichOneof("data")
                    for point in getattr(metric, data).data_points if data else ():
                        self._pairs(point.attributes)
                        for exemplar in getattr(point, "exemplars", ()):
                            self._pairs(exemplar.filtered_attributes)

    def _pairs(self, pairs: Iterable[Any]) -> None:
        for pair in pairs:
            if self._rules.hides(pair.key):
                if pair.value.WhichOneof("value") is not None and pair.value.string_value != REDACTED:
                    pair.value.string_value = REDACTED
                    self._count += 1
            else:
                self._value(pair.value)

    def _value(self, value: Any) -> None:
        match value.WhichOneof("value"):
            case "string_value":
                self._field(value, "string_value")
            case "array_value":
                for one in value.array_value.values:
                    self._value(one)
            case "kvlist_value":
                self._pairs(value.kvlist_value.values)

    def _field(self, holder: Any, name: str) -> None:
        before = getattr(holder, name)
        after = self._rules.text(before)
        if after != before:
            setattr(holder, name, after)
            self._count += 1
