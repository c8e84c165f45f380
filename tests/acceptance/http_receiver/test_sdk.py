"""OTLP/HTTP and the SDK's own exporters: what arrives, and what they make of refusals."""

import logging
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otelgres.exporters.batch import Signal
from otelgres.exporters.otlp_json import request_from_json, request_to_json
from otelgres.exporters.outcome import Invalid, Outcome, Overloaded, TooLarge, Unavailable
from tests.acceptance.stub_queue import StubQueue


@pytest.mark.parametrize("compression", list(Compression))
def test_the_sdk_s_exporters(port: int, stub: StubQueue, compression: Compression) -> None:
    url = f"http://127.0.0.1:{port}/v1/"
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(url + "traces", compression=compression)))
    with tracing.get_tracer("t").start_as_current_span("a span"):
        pass
    tracing.shutdown()
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(url + "metrics", compression=compression))
    metering = MeterProvider([reader], shutdown_on_exit=False)
    metering.get_meter("m").create_counter("counter").add(3)
    metering.shutdown()
    logs = LoggerProvider(shutdown_on_exit=False)
    logs.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(url + "logs", compression=compression)))
    logs.get_logger("l").emit(body="a record")
    logs.shutdown()

    by_signal = {batch.signal: batch.payload for batch in stub.batches}
    spans = ExportTraceServiceRequest.FromString(by_signal[Signal.TRACES])
    assert spans.resource_spans[0].scope_spans[0].spans[0].name == "a span"
    metrics = ExportMetricsServiceRequest.FromString(by_signal[Signal.METRICS])
    assert metrics.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0].as_int == 3
    records = ExportLogsServiceRequest.FromString(by_signal[Signal.LOGS])
    assert records.resource_logs[0].scope_logs[0].log_records[0].body.string_value == "a record"
    for batch in stub.batches:
        assert request_from_json(batch.signal, request_to_json(batch.signal, batch.payload)) == batch.payload


@pytest.mark.parametrize("refusal", [Overloaded(1, "busy"), Unavailable(1, "away")], ids=str)
def test_the_sdk_waits_for_retry_info_and_succeeds(
    port: int, stub: StubQueue, refusal: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stub.outcomes = [refusal]
    with caplog.at_level(logging.WARNING, "opentelemetry"):
        tracing = TracerProvider(shutdown_on_exit=False)
        tracing.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"http://127.0.0.1:{port}/v1/traces")))
        tracing.get_tracer("t").start_span("kept").end()
        tracing.shutdown()
    assert len(stub.batches) == 2
    assert stub.batches[0] == stub.batches[1]
    # Its own first backoff is a second with jitter; exactly one is our header.
    waits = [record.args[2] for record in caplog.records if "Transient error" in str(record.msg)]  # type: ignore[index]
    assert waits == [1.0]


@pytest.mark.parametrize("refusal", [Invalid("bad"), TooLarge("big")], ids=str)
def test_the_sdk_does_not_retry_what_is_final(port: int, stub: StubQueue, refusal: Outcome) -> None:
    stub.outcomes = [refusal]
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"http://127.0.0.1:{port}/v1/traces")))
    tracing.get_tracer("t").start_span("dropped").end()
    tracing.shutdown()
    assert len(stub.batches) == 1
