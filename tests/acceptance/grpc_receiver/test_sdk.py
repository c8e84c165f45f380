"""OTLP/gRPC and the SDK's own exporters: what arrives, and what they make of refusals."""

import logging
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
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
from otelgres.exporters.outcome import Invalid, Outcome, Overloaded, Unavailable
from tests.acceptance.stub_queue import StubQueue


def test_the_sdk_s_exporters(port: int, stub: StubQueue) -> None:
    endpoint = f"http://127.0.0.1:{port}"
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint)))
    with tracing.get_tracer("t").start_as_current_span("a span"):
        pass
    tracing.shutdown()
    metering = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(endpoint))], shutdown_on_exit=False)
    metering.get_meter("m").create_counter("counter").add(3)
    metering.shutdown()
    logs = LoggerProvider(shutdown_on_exit=False)
    logs.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(endpoint)))
    logs.get_logger("l").emit(body="a record")
    logs.shutdown()

    by_signal = {batch.signal: batch.payload for batch in stub.batches}
    spans = ExportTraceServiceRequest.FromString(by_signal[Signal.TRACES])
    assert spans.resource_spans[0].scope_spans[0].spans[0].name == "a span"
    metrics = ExportMetricsServiceRequest.FromString(by_signal[Signal.METRICS])
    assert metrics.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0].as_int == 3
    records = ExportLogsServiceRequest.FromString(by_signal[Signal.LOGS])
    assert records.resource_logs[0].scope_logs[0].log_records[0].body.string_value == "a record"


@pytest.mark.parametrize("refusal", [Overloaded(0.1, "busy"), Unavailable(0.1, "away"), RuntimeError("bug")], ids=str)
def test_the_sdk_retries_retryable_errors_and_succeeds(
    port: int, stub: StubQueue, refusal: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its filter would keep the second of two equal warnings from us.
    monkeypatch.setattr(logging.getLogger("opentelemetry.exporter.otlp.proto.grpc.exporter"), "filters", [])
    stub.outcomes = [refusal, refusal]
    with caplog.at_level(logging.WARNING, "opentelemetry"):
        tracing = TracerProvider(shutdown_on_exit=False)
        tracing.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"http://127.0.0.1:{port}")))
        tracing.get_tracer("t").start_span("kept").end()
        tracing.shutdown()
    assert len(stub.batches) == 3
    assert len({batch.payload for batch in stub.batches}) == 1
    # The exporter says how long it waits: our word, not its own backoff with jitter.
    waits = [record.args[3] for record in caplog.records if "Transient error" in str(record.msg)]  # type: ignore[index]
    assert waits == pytest.approx([1.0 if isinstance(refusal, RuntimeError) else 0.1] * 2)


@pytest.mark.parametrize("refusal", [Invalid("bad")], ids=str)
def test_the_sdk_does_not_retry_what_is_final(port: int, stub: StubQueue, refusal: Outcome) -> None:
    stub.outcomes = [refusal]
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"http://127.0.0.1:{port}")))
    tracing.get_tracer("t").start_span("dropped").end()
    tracing.shutdown()
    assert len(stub.batches) == 1
