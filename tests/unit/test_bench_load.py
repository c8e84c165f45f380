"""The benchmark's requests, written in wire format by hand, read back with OpenTelemetry's own messages."""

from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.collector.tools.bench.load import ITEMS_PER_REQUEST, make_requests
from otelgres.exporters.batch import Signal

AT = 1_795_000_000_000_000_000
ITEMS = 3 * ITEMS_PER_REQUEST + 100
MESSAGES: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
}


def read(signal: Signal) -> list[Any]:
    return [MESSAGES[signal].FromString(request.payload) for request in make_requests(signal, ITEMS, 1, AT)]


@pytest.mark.parametrize("signal", list(Signal))
def test_the_bytes_are_what_the_official_messages_would_be_and_are_repeatable(signal: Signal) -> None:
    requests = list(make_requests(signal, ITEMS, 1, AT))
    assert [request.items for request in requests] == [512, 512, 512, 100]
    assert requests == list(make_requests(signal, ITEMS, 1, AT))
    assert requests != list(make_requests(signal, ITEMS, 2, AT))
    for request in requests:
        message = MESSAGES[signal].FromString(request.payload)
        message.DiscardUnknownFields()
        assert message.ByteSize() == len(request.payload)


def test_spans() -> None:
    spans = [span for request in read(Signal.TRACES) for span in request.resource_spans[0].scope_spans[0].spans]
    assert len(spans) == ITEMS
    assert len({(span.trace_id, span.span_id) for span in spans}) == ITEMS
    assert {len(span.attributes) for span in spans} == {9}
    assert all(AT <= span.start_time_unix_nano < span.end_time_unix_nano for span in spans)
    traces = [spans[first : first + 8] for first in range(0, 512, 8)]
    for root, *children in traces:
        assert root.parent_span_id == b""
        assert {child.parent_span_id for child in children} == {root.span_id}
        assert {child.trace_id for child in children} == {root.trace_id}
    size = sum(len(request.payload) for request in make_requests(Signal.TRACES, 51_200, 1, AT)) / 51_200
    assert 320 <= size <= 350


def test_log_records() -> None:
    records = [one for request in read(Signal.LOGS) for one in request.resource_logs[0].scope_logs[0].log_records]
    assert len(records) == ITEMS
    uids = {pair.value.string_value for one in records for pair in one.attributes if pair.key == "log.record.uid"}
    assert len(uids) == ITEMS
    assert all(one.body.string_value.startswith("order ") and len(one.trace_id) == 16 for one in records)


def test_metric_points() -> None:
    seen: set[tuple[str, int, bytes]] = set()
    for request in read(Signal.METRICS):
        for metric in request.resource_metrics[0].scope_metrics[0].metrics:
            data = getattr(metric, metric.WhichOneof("data"))
            for point in data.data_points:
                assert len(point.attributes) == 3
                series = b"".join(sorted(pair.SerializeToString() for pair in point.attributes))
                seen.add((metric.name, point.time_unix_nano, series))
                if metric.name == "http.server.request.duration":
                    assert sum(point.bucket_counts) == point.count
                    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    assert len(seen) == ITEMS
