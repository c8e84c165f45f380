"""OTLP's messages with every string as bytes, and what makes two requests equal.

See ``otelgres.exporters.raw_messages``, where the classes are made.
"""

import struct
from collections import Counter
from typing import Any, Final

from google.protobuf import message_factory

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.descriptors import is_repeated
from otelgres.exporters.raw_messages import message_class

_P: Final = "opentelemetry.proto."


TracesRequest = message_class("collector.trace.v1.ExportTraceServiceRequest")
MetricsRequest = message_class("collector.metrics.v1.ExportMetricsServiceRequest")
LogsRequest = message_class("collector.logs.v1.ExportLogsServiceRequest")
ResourceSpans = message_class("trace.v1.ResourceSpans")
ScopeSpans = message_class("trace.v1.ScopeSpans")
Span = message_class("trace.v1.Span")
Event = message_class("trace.v1.Span.Event")
Link = message_class("trace.v1.Span.Link")
Status = message_class("trace.v1.Status")
ResourceLogs = message_class("logs.v1.ResourceLogs")
ScopeLogs = message_class("logs.v1.ScopeLogs")
LogRecord = message_class("logs.v1.LogRecord")
ResourceMetrics = message_class("metrics.v1.ResourceMetrics")
ScopeMetrics = message_class("metrics.v1.ScopeMetrics")
Metric = message_class("metrics.v1.Metric")
Gauge = message_class("metrics.v1.Gauge")
Sum = message_class("metrics.v1.Sum")
Histogram = message_class("metrics.v1.Histogram")
ExponentialHistogram = message_class("metrics.v1.ExponentialHistogram")
Summary = message_class("metrics.v1.Summary")
NumberDataPoint = message_class("metrics.v1.NumberDataPoint")
HistogramDataPoint = message_class("metrics.v1.HistogramDataPoint")
ExponentialHistogramDataPoint = message_class("metrics.v1.ExponentialHistogramDataPoint")
Buckets = message_class("metrics.v1.ExponentialHistogramDataPoint.Buckets")
SummaryDataPoint = message_class("metrics.v1.SummaryDataPoint")
ValueAtQuantile = message_class("metrics.v1.SummaryDataPoint.ValueAtQuantile")
Exemplar = message_class("metrics.v1.Exemplar")
Resource = message_class("resource.v1.Resource")
EntityRef = message_class("common.v1.EntityRef")
Scope = message_class("common.v1.InstrumentationScope")
KeyValue = message_class("common.v1.KeyValue")
KeyValueList = message_class("common.v1.KeyValueList")
ArrayValue = message_class("common.v1.ArrayValue")
AnyValue = message_class("common.v1.AnyValue")

REQUESTS: Final[dict[Signal, Any]] = {
    Signal.TRACES: TracesRequest,
    Signal.METRICS: MetricsRequest,
    Signal.LOGS: LogsRequest,
}
KINDS: Final = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
_SIGNALS: Final = {request.DESCRIPTOR.full_name: signal for signal, request in REQUESTS.items()}


def signal_of(request: Any) -> Signal:
    """Which signal's request this is."""
    return _SIGNALS[request.DESCRIPTOR.full_name]


def batch(request: Any) -> Batch:
    """The request as what a writer takes."""
    return Batch(signal_of(request), request.SerializeToString())


def attribute(key: str, value: str | int) -> Any:
    """A KeyValue with a text or an int."""
    data = AnyValue(string_value=value.encode()) if isinstance(value, str) else AnyValue(int_value=value)
    return KeyValue(key=key.encode(), value=data)


def resources(request: Any) -> Any:
    """Its ResourceSpans, ResourceMetrics or ResourceLogs."""
    return getattr(request, f"resource_{_inner(request)}")


def scopes(request: Any, resource: Any) -> Any:
    """The ScopeSpans, ScopeMetrics or ScopeLogs of one of its resources."""
    return getattr(resource, f"scope_{_inner(request)}")


def _inner(request: Any) -> str:
    return {Signal.TRACES: "spans", Signal.METRICS: "metrics", Signal.LOGS: "logs"}[signal_of(request)]


def items(request: Any) -> Counter[tuple[Any, ...]]:
    """Every span, log record or point with its resource, scope and metric: equal requests have equal items.

    The order of attributes does not matter, nor how items are grouped; a missing value equals an empty one, a missing
    resource or scope an empty one.
    """
    found: Counter[tuple[Any, ...]] = Counter()
    for resource in resources(request):
        for scope in scopes(request, resource):
            head = (canonical(resource.resource), resource.schema_url, canonical(scope.scope), scope.schema_url)
            match signal_of(request):
                case Signal.TRACES:
                    found.update((*head, canonical(span)) for span in scope.spans)
                case Signal.LOGS:
                    found.update((*head, canonical(record)) for record in scope.log_records)
                case Signal.METRICS:
                    for metric in scope.metrics:
                        found.update((*head, metric_head(metric), canonical(point)) for point in points(metric))
    return found


def points(metric: Any) -> Any:
    """The data points of a metric of any kind."""
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind else []


def metric_head(metric: Any) -> tuple[Any, ...]:
    """Everything of a metric but its points."""
    head = type(metric)()
    head.CopyFrom(metric)
    kind = metric.WhichOneof("data")
    if kind:
        getattr(head, kind).ClearField("data_points")
    return canonical(head)


def canonical(message: Any) -> tuple[Any, ...]:
    """A message as nested tuples that are equal when the messages mean the same."""
    if message.DESCRIPTOR.full_name == _P + "common.v1.KeyValue":
        return message.key, canonical(message.value)
    found = []
    for field, value in message.ListFields():
        one = _double if field.type == field.TYPE_DOUBLE else canonical if field.message_type else _same
        if not is_repeated(field):
            found.append((field.name, one(value)))
        elif field.message_type and field.message_type.full_name == _P + "common.v1.KeyValue":
            found.append((field.name, tuple(sorted(map(one, value), key=repr))))
        else:
            found.append((field.name, tuple(map(one, value))))
    return tuple(found)


def _same(value: Any) -> Any:
    return value


def _double(value: float) -> bytes:
    # By its bits: -0.0 is not 0.0. Which of its NaNs a processor made means nothing.
    return struct.pack("<d", value) if value == value else b"NaN"


def filled(signal: Signal, now: int) -> Any:
    """A request with every field set, every choice taken once, and everything in it valid; ``now`` is its time."""
    return _filled(REQUESTS[signal], now)


IDS: Final = {"trace_id": b"\x01" * 16, "span_id": b"\x02" * 8, "parent_span_id": b"\x03" * 8}


def _filled(kind: Any, now: int, choice: int = 0) -> Any:
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        choices = field.containing_oneof.fields if field.containing_oneof else [field]
        if field.name.endswith("strindex") or choices[choice % len(choices)] is not field:
            continue
        if field.message_type:
            of = message_factory.GetMessageClass(field.message_type)
            if of is KeyValue:
                values = [attribute("otelgres.type", "flow"), attribute("log.record.uid", "a")]
            elif of is AnyValue:
                values = [AnyValue(string_value=b"text")]
            else:
                values = [_filled(of, now, number) for number in range(_choices(of))]
        else:
            values = [_scalar(field, now)] * (2 if field.name == "bucket_counts" else 1)
        if is_repeated(field):
            getattr(message, field.name).extend(values)
        elif field.message_type:
            getattr(message, field.name).CopyFrom(values[0])
        else:
            setattr(message, field.name, values[0])
    return message


def _choices(kind: Any) -> int:
    return max((len(oneof.fields) for oneof in kind.DESCRIPTOR.oneofs), default=1)


def _scalar(field: Any, now: int) -> Any:
    if field.name in IDS:
        return IDS[field.name]
    if field.type == field.TYPE_BYTES:
        return field.name.encode()
    return now if "time" in field.name else 1.5 if field.type == field.TYPE_DOUBLE else 1


def field(number: int, data: bytes) -> bytes:
    """A length-delimited field, for what no protobuf library would write."""
    size, length = bytearray(), len(data)
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + data


def nested(levels: int) -> bytes:
    """An AnyValue of ``levels`` arrays around a text."""
    data: bytes = AnyValue(string_value=b"core").SerializeToString()
    for _ in range(levels):
        data = field(5, field(1, data))
    return data
