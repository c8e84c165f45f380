"""The exporters that the SDK's processors call: scrub, encode, hand over to the pipeline of the signal.

Refuses to know where telemetry goes. SUCCESS means that it has found a place, FAILURE that it is gone.
"""

from collections.abc import Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_setup.export.pipeline import ExportPipeline
from otel_setup.sdk.sanitizer import Sanitizer
from otel_setup.sdk_adapter import (
    LogRecordExporter,
    LogRecordExportResult,
    OTLPMetricExporterMixin,
    ReadableLogRecord,
    encode_logs,
)


class PipelineSpanExporter(SpanExporter):
    """Spans, as the SDK's batch processor hands them over."""

    def __init__(self, pipeline: ExportPipeline, scrubber: Sanitizer) -> None:
        self._pipeline = pipeline
        self._scrubber = scrubber

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Scrubs and sends."""
        placed = self._pipeline.export(self._scrubber.spans(spans), encode_spans)
        return SpanExportResult.SUCCESS if placed else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Nothing: ``lifecycle`` closes the deliveries once all queues are empty."""


class PipelineLogExporter(LogRecordExporter):
    """Log records, as the SDK's batch processor hands them over."""

    def __init__(self, pipeline: ExportPipeline, scrubber: Sanitizer) -> None:
        self._pipeline = pipeline
        self._scrubber = scrubber

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Scrubs and sends."""
        placed = self._pipeline.export(self._scrubber.logs(batch), encode_logs)
        return LogRecordExportResult.SUCCESS if placed else LogRecordExportResult.FAILURE

    def shutdown(self) -> None:
        """Nothing, as above."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept here."""
        return True


class PipelineMetricExporter(OTLPMetricExporterMixin, MetricExporter):
    """Metric points, as the SDK's periodic reader hands them over, in the temporality that ``OTEL_*`` asks for."""

    def __init__(self, pipeline: ExportPipeline) -> None:
        self._common_configuration()
        self._pipeline = pipeline

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> MetricExportResult:
        """Sends."""
        placed = self._pipeline.export([metrics_data], lambda both: encode_metrics(both[0]))
        return MetricExportResult.SUCCESS if placed else MetricExportResult.FAILURE

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Nothing, as above."""

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing is kept here."""
        return True
