"""Numbered telemetry items: encoded here from their numbers, compared by number at the end.

An item depends only on the run, its kind and its number, so that it can be sent again in other requests.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otelgres.exporters.batch import Batch, Signal

NUMBER_KEY: Final = "chaos.number"
_SERVICES: Final = 3
_SPANS_A_TRACE: Final = 5
_NS_PER_ITEM: Final = 20_000
_NS_PER_DAY: Final = 86_400_000_000_000
# One in this many items is some days late, so that partitions are created during faults.
_LATE_EVERY: Final = 97
_MOST_DAYS_LATE: Final = 12
_FILLER: Final = "x" * 120
_POINT_KINDS: Final = ("gauge", "histogram", "gauge", "exponential_histogram", "gauge", "summary")


class ItemKind(Enum):
    """The kinds of items. Those with a natural key may be sent again in other requests, logs without uid may not."""

    SPAN = "spans"
    LOG = "logs"
    LOG_WITHOUT_UID = "logs without uid"
    POINT = "metric points"

    @property
    def signal(self) -> Signal:
        """The signal of this kind."""
        return _SIGNALS[self]

    @property
    def has_key(self) -> bool:
        """Whether the receiver detects duplicates of it in other requests."""
        return self is not ItemKind.LOG_WITHOUT_UID


_SIGNALS: Final = {
    ItemKind.SPAN: Signal.TRACES,
    ItemKind.LOG: Signal.LOGS,
    ItemKind.LOG_WITHOUT_UID: Signal.LOGS,
    ItemKind.POINT: Signal.METRICS,
}


def kinds_and_numbers(batch: Batch) -> list[tuple[ItemKind, int]]:
    """The items of a request that was made here; those that were made invalid have no number."""
    match batch.signal:
        case Signal.TRACES:
            traces = ExportTraceServiceRequest.FromString(batch.payload)
            spans = (span for group in traces.resource_spans for scope in group.scope_spans for span in scope.spans)
            return [(ItemKind.SPAN, int(span.attributes[0].value.int_value)) for span in spans if span.attributes]
        case Signal.LOGS:
            logs = ExportLogsServiceRequest.FromString(batch.payload)
            records = (one for group in logs.resource_logs for scope in group.scope_logs for one in scope.log_records)
            return [
                (
                    ItemKind.LOG if len(one.attributes) > 1 else ItemKind.LOG_WITHOUT_UID,
                    int(one.attributes[0].value.int_value),
                )
                for one in records
            ]
        case Signal.METRICS:
            metrics = ExportMetricsServiceRequest.FromString(batch.payload)
            found = (
                one for group in metrics.resource_metrics for scope in group.scope_metrics for one in scope.metrics
            )
            return [(ItemKind.POINT, number) for metric in found for number in _point_numbers(metric)]


def _point_numbers(metric: Any) -> list[int]:
    points = getattr(metric, metric.WhichOneof("data")).data_points
    return [int(point.as_int if metric.HasField("gauge") else point.sum) for point in points]


@dataclass(frozen=True, slots=True)
class Items:
    """The items of one run: ``seed`` identifies the run, ``base`` is the Unix time (ns) of number 0."""

    seed: int
    base: int

    def request(self, kind: ItemKind, numbers: Sequence[int], invalid: int = 0) -> bytes:
        """An encoded export request with these items, and ``invalid`` spans that the receiver must reject."""
        match kind:
            case ItemKind.SPAN:
                return self._spans(numbers, invalid)
            case ItemKind.LOG | ItemKind.LOG_WITHOUT_UID:
                return self._logs(numbers, with_uid=kind is ItemKind.LOG)
            case ItemKind.POINT:
                return self._points(numbers)

    def time(self, number: int) -> int:
        """Unix time (ns) of an item; most are during the run, some are days late."""
        late = number // _LATE_EVERY % _MOST_DAYS_LATE + 1 if number % _LATE_EVERY == 0 else 0
        return self.base + number * _NS_PER_ITEM - late * _NS_PER_DAY

    def trace_id(self, number: int) -> bytes:
        """Consecutive numbers share a trace; the boundaries of requests and traces differ."""
        return self.seed.to_bytes(8, "big") + (number // _SPANS_A_TRACE + 1).to_bytes(8, "big")

    def _spans(self, numbers: Sequence[int], invalid: int) -> bytes:
        request = ExportTraceServiceRequest()
        for service, group in _by_service(numbers):
            resource_spans = request.resource_spans.add(resource=_resource(service))
            spans = resource_spans.scope_spans.add().spans
            for number in group:
                first = number % _SPANS_A_TRACE == 0
                start = self.time(number)
                span = spans.add(
                    trace_id=self.trace_id(number),
                    span_id=(number + 1).to_bytes(8, "big"),
                    parent_span_id=b"" if first else (number - number % _SPANS_A_TRACE + 1).to_bytes(8, "big"),
                    name=f"GET /orders/{number % 7}",
                    kind=Span.SPAN_KIND_SERVER if first else Span.SPAN_KIND_INTERNAL,
                    start_time_unix_nano=start,
                    end_time_unix_nano=start + 1_000_000 + number % 1000,
                )
                span.attributes.append(_number(number))
                span.attributes.append(_text("url.path", f"/orders/{number}/{_FILLER}"))
        if invalid:
            spans = request.resource_spans.add(resource=_resource(0)).scope_spans.add().spans
            for place in range(invalid):
                spans.add(trace_id=b"short", span_id=bytes(8), name=f"invalid {place}", start_time_unix_nano=self.base)
        return request.SerializeToString()

    def _logs(self, numbers: Sequence[int], *, with_uid: bool) -> bytes:
        request = ExportLogsServiceRequest()
        for service, group in _by_service(numbers):
            records = request.resource_logs.add(resource=_resource(service)).scope_logs.add().log_records
            for number in group:
                record = records.add(time_unix_nano=self.time(number), severity_number=9, severity_text="INFO")
                record.body.string_value = f"order {number} accepted {_FILLER}"
                record.attributes.append(_number(number))
                if with_uid:
                    record.attributes.append(_text("log.record.uid", f"{self.seed:016x}{number + 1:016x}"))
        return request.SerializeToString()

    def _points(self, numbers: Sequence[int]) -> bytes:
        request = ExportMetricsServiceRequest()
        for service, group in _by_service(numbers):
            metrics = request.resource_metrics.add(resource=_resource(service)).scope_metrics.add().metrics
            points: dict[str, Any] = {}
            for number in group:
                name = _POINT_KINDS[number % len(_POINT_KINDS)]
                if name not in points:
                    # Reading a field of a metric sets its type, and an empty metric would be rejected.
                    points[name] = getattr(metrics.add(name=f"chaos.{name}"), name)
                    if "histogram" in name:
                        points[name].aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
                point = points[name].data_points.add(time_unix_nano=self.time(number), attributes=[_series(number)])
                if name == "gauge":
                    point.as_int = number
                else:
                    point.count, point.sum = 1, number
                if name == "histogram":
                    point.bucket_counts.append(1)
        return request.SerializeToString()


def _by_service(numbers: Iterable[int]) -> list[tuple[int, list[int]]]:
    groups: dict[int, list[int]] = {}
    for number in numbers:
        groups.setdefault(number // _SPANS_A_TRACE % _SERVICES, []).append(number)
    return sorted(groups.items())


def _resource(service: int) -> Resource:
    return Resource(attributes=[_text("service.name", f"chaos-{service}")])


def _number(number: int) -> KeyValue:
    pair = KeyValue(key=NUMBER_KEY)
    pair.value.int_value = number
    return pair


def _series(number: int) -> KeyValue:
    return _text("queue", f"queue-{number % 11}")


def _text(key: str, value: str) -> KeyValue:
    pair = KeyValue(key=key)
    pair.value.string_value = value
    return pair
