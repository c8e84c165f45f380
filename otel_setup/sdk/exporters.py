"""The exporters that the SDK's processors call: they sanitize items and pass them to the signal's pipeline.

SUCCESS: the pipeline delivered or kept the items. FAILURE: they are lost.
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
    """Exports spans for the SDK's batch processor."""

    def __init__(self, pipeline: ExportPipeline, scrubber: Sanitizer) -> None:
        self._pipeline = pipeline
        self._scrubber = scrubber

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sanitizes and exports the items."""
        placed = self._pipeline.export(self._scrubber.spans(spans), encode_spans)
        return SpanExportResult.SUCCESS if placed else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Does nothing: ``process.shutdown`` closes the pipelines after all queues are empty."""


class PipelineLogExporter(LogRecordExporter):
    """Exports log records for the SDK's batch processor."""

    def __init__(self, pipeline: ExportPipeline, scrubber: Sanitizer) -> None:
        self._pipeline = pipeline
        self._scrubber = scrubber

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Sanitizes and exports the items."""
        placed = self._pipeline.export(self._scrubber.logs(batch), encode_logs)
        return LogRecordExportResult.SUCCESS if placed else LogRecordExportResult.FAILURE

    def shutdown(self) -> None:
        """Does nothing, as above."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Does nothing: this exporter has no queue."""
        return True


class PipelineMetricExporter(OTLPMetricExporterMixin, MetricExporter):
    """Exports metric points for the SDK's periodic reader, with the temporality set by ``OTEL_*``."""

    def __init__(self, pipeline: ExportPipeline) -> None:
        self._common_configuration()
        self._pipeline = pipeline

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> MetricExportResult:
        """Exports the metric points."""
        placed = self._pipeline.export([metrics_data], lambda both: encode_metrics(both[0]))
        return MetricExportResult.SUCCESS if placed else MetricExportResult.FAILURE

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Does nothing, as above."""

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Does nothing: this exporter has no queue."""
        return True
