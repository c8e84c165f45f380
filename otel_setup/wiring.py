"""Builds the three providers from the settings, connects them and starts them: the one module that chooses classes."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from otel_setup.api import providers
from otel_setup.api.liveness import Liveness
from otel_setup.config.processing import ProcessingSettings, default_spool
from otel_setup.config.settings import LogBatchSettings, TelemetrySettings
from otel_setup.export.circuit_breaker import CircuitBreaker
from otel_setup.export.connection import ExportConnection
from otel_setup.export.deduplicating_console import DeduplicatingConsole
from otel_setup.export.outage import OutageLog
from otel_setup.export.pipeline import CollectorStep, ExportPipeline
from otel_setup.export.replayer import CollectorReplayer
from otel_setup.export.stats import Counts
from otel_setup.process import hooks
from otel_setup.process.shutdown import Telemetry
from otel_setup.sdk import log_bridge, self_metrics
from otel_setup.sdk.context_processors import LogAttributes, SpanAttributes
from otel_setup.sdk.exporters import PipelineLogExporter, PipelineMetricExporter, PipelineSpanExporter
from otel_setup.sdk.id_generator import FlowIdGenerator
from otel_setup.sdk.log_filters import limit_sdk_logging
from otel_setup.sdk.resource import describe_process
from otel_setup.sdk.sanitizer import Sanitizer
from otel_setup.sdk.suppression_filters import SuppressionLogProcessor, SuppressionSampler
from otel_setup.sdk.thread_context import carry_into_threads
from otel_setup.sdk_adapter import (
    BatchLogRecordProcessor,
    LoggerProvider,
    accepted,
    counting_own_work,
    set_logger_provider,
)
from otelgres.exporters.background import BackgroundExporter
from otelgres.exporters.batch import Signal
from otelgres.exporters.chain import Exporter
from otelgres.exporters.console import ConsoleExporter
from otelgres.exporters.otlp import OtlpExporter, import_transport
from otelgres.exporters.spool.exporter import SpoolExporter
from otelgres.exporters.target import Database, Target

_logger = logging.getLogger("otel_setup")

# The SDK's defaults are 5 s for spans and 1 s for logs: too slow to watch, and the receiver groups commits anyway.
_DELAY_MS: Final = 200.0


def build(settings: TelemetrySettings) -> Telemetry:
    """Builds, connects and registers everything. A signal that is off gets a provider without an exporter."""
    limit_sdk_logging()
    processing, counts = settings.processing, Counts()
    resource = describe_process(settings.resource)
    spool = _spool(processing, str(resource.attributes.get("service.name", "")))
    outage = OutageLog(_fallback_texts(spool))
    breakers = {signal: CircuitBreaker() for signal in settings.targets}
    targets: dict[Signal, Target | Database] = {
        signal: settings.database or target for signal, target in settings.targets.items()
    }

    connects = {signal: _exporter(signal, target) for signal, target in targets.items()}

    def connection(signal: Signal) -> ExportConnection:
        return ExportConnection(connects[signal], breakers[signal])

    def rejected(signal: Signal, items: int, reason: str) -> None:
        outage.rejected(signal, targets[signal], items, reason)

    # Connections of its own, so that an export never waits for a replay.
    replayer = (
        None
        if spool is None
        else CollectorReplayer(spool, {signal: connection(signal) for signal in breakers}, counts, rejected)
    )
    batches = settings.log_batches
    pipelines = {}
    for signal, target in targets.items():
        collector_step = CollectorStep(
            connection(signal), replayer, 0 if replayer else target.timeout, batches.attempts if batches else None
        )
        fallback = _fallback(processing, spool, batches, signal)
        pipelines[signal] = ExportPipeline(
            signal, target, collector_step, fallback, replayer, counts, outage, processing.redaction
        )
    # Metrics first: the other two providers report their own metrics to it.
    meter_provider = _meter_provider(resource, pipelines.get(Signal.METRICS), settings.metric_interval)
    own_work = counting_own_work(meter_provider)
    tracer_provider = _tracer_provider(resource, pipelines.get(Signal.TRACES), own_work, processing, counts)
    logger_provider = _logger_provider(resource, pipelines.get(Signal.LOGS), own_work, processing, counts, batches)
    self_metrics.report(
        meter_provider.get_meter(providers.SCOPE), counts, spool.bytes_used if spool is not None else lambda: 0
    )
    metrics.set_meter_provider(meter_provider)
    trace.set_tracer_provider(tracer_provider)
    set_logger_provider(logger_provider)
    if trace.get_tracer_provider() is not tracer_provider:
        _logger.warning(
            "OpenTelemetry was already configured before configure_telemetry(): spans and metrics of other libraries "
            "still use the earlier providers; logs, flows, phases and checkpoints use the new ones"
        )
    providers.tracer = tracer_provider.get_tracer(providers.SCOPE)
    providers.flush = tracer_provider.force_flush
    has_logs = Signal.LOGS in pipelines
    providers.events = logger_provider.get_logger(providers.SCOPE)
    providers.starts = providers.events if has_logs and settings.in_flight else None
    providers.liveness = Liveness(providers.events, settings.report_interval) if providers.starts is not None else None
    if settings.threads:
        carry_into_threads()
    telemetry = Telemetry(
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
        logger_provider=logger_provider,
        pipelines=list(pipelines.values()),
        spool=spool,
        replayer=replayer,
        liveness=providers.liveness,
        counts=counts,
        handler=log_bridge.install(logger_provider, settings.log_level, processing.body_bytes, counts)
        if has_logs and settings.capture_logs
        else None,
        shutdown_timeout=settings.shutdown_timeout,
    )
    hooks.install(telemetry, signals=settings.install_signal_handlers)
    if replayer is not None:
        # Replays what an earlier run left in the spool, without waiting for the first export.
        replayer.start()
    return telemetry


# shutdown_on_exit=False: `hooks` shuts all three down together, within one deadline.


def _meter_provider(resource: Resource, pipeline: ExportPipeline | None, interval: float) -> MeterProvider:
    readers = []
    if pipeline is not None:
        readers.append(
            PeriodicExportingMetricReader(PipelineMetricExporter(pipeline), export_interval_millis=interval * 1e3)
        )
    return MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False)


def _tracer_provider(
    resource: Resource,
    pipeline: ExportPipeline | None,
    meters: metrics.MeterProvider,
    processing: ProcessingSettings,
    counts: Counts,
) -> TracerProvider:
    provider = TracerProvider(
        resource=resource,
        id_generator=FlowIdGenerator(),
        shutdown_on_exit=False,
        meter_provider=meters,
    )
    # Wraps the sampler that the SDK created from OTEL_TRACES_SAMPLER.
    provider.sampler = SuppressionSampler(provider.sampler)
    if pipeline is not None:
        processor = BatchSpanProcessor(
            PipelineSpanExporter(pipeline, _scrubber(processing, counts)),
            schedule_delay_millis=_delay("OTEL_BSP_SCHEDULE_DELAY"),
            **accepted(BatchSpanProcessor, meter_provider=meters),
        )
        self_metrics.count_overflow(processor, Signal.TRACES, counts)
        provider.add_span_processor(SpanAttributes())
        provider.add_span_processor(processor)
    return provider


def _logger_provider(
    resource: Resource,
    pipeline: ExportPipeline | None,
    meters: metrics.MeterProvider,
    processing: ProcessingSettings,
    counts: Counts,
    batches: LogBatchSettings | None,
) -> LoggerProvider:
    provider = LoggerProvider(
        resource=resource, shutdown_on_exit=False, **accepted(LoggerProvider, meter_provider=meters)
    )
    if pipeline is not None:
        processor = BatchLogRecordProcessor(
            PipelineLogExporter(pipeline, _scrubber(processing, counts)),
            schedule_delay_millis=batches.seconds * 1e3 if batches else _delay("OTEL_BLRP_SCHEDULE_DELAY"),
            max_export_batch_size=batches.size if batches else None,
            max_queue_size=batches.queue if batches else None,
            **accepted(BatchLogRecordProcessor, meter_provider=meters),
        )
        self_metrics.count_overflow(processor, Signal.LOGS, counts)
        provider.add_log_record_processor(log_bridge.RecordUid())
        provider.add_log_record_processor(LogAttributes())
        provider.add_log_record_processor(SuppressionLogProcessor(processor))
    return provider


def _delay(variable: str) -> float | None:
    """How long a batch collects records, in milliseconds; None if ``variable`` sets it."""
    return None if variable in os.environ else _DELAY_MS


def _scrubber(processing: ProcessingSettings, counts: Counts) -> Sanitizer:
    return Sanitizer(processing.attribute_bytes, processing.body_bytes, counts)


def _spool(processing: ProcessingSettings, service_name: str) -> SpoolExporter | None:
    if "spool" not in processing.fallback:
        return None
    try:
        folder: Path = processing.spool or default_spool(service_name)
    except RuntimeError:
        _logger.warning("configure_telemetry: no home directory, the spool is off; set a directory with spool=")
        return None
    return SpoolExporter(folder, max_bytes=processing.spool_bytes)


def _exporter(signal: Signal, target: Target | Database) -> Callable[[], BackgroundExporter]:
    """Makes exporters for ``target``. Imports what they need now: a child could be forked while a thread imports."""
    if isinstance(target, Database):
        # Late import: an application that sends to a collector needs no PostgreSQL driver.
        from otelgres.exporters.postgres.direct import PostgresExporter

        return lambda: PostgresExporter(target, [signal])
    import_transport(target.protocol)
    return lambda: OtlpExporter({signal: target})


def _fallback(
    processing: ProcessingSettings, spool: SpoolExporter | None, batches: LogBatchSettings | None, signal: Signal
) -> dict[str, Exporter]:
    exporters: dict[str, Exporter] = {}
    if batches is None or signal is Signal.LOGS:
        console = ConsoleExporter("stdout")
        exporters = {
            "console": DeduplicatingConsole(batches.already_printed, console) if batches else console,
            "stderr": ConsoleExporter("stderr"),
        }
    if spool is not None:
        exporters["spool"] = spool
    return {step: exporters[step] for step in processing.fallback if step in exporters}


def _fallback_texts(spool: SpoolExporter | None) -> dict[str, str]:
    return {
        "spool": f"stored in {spool.folder if spool is not None else ''} and sent later",
        "console": "printed to stdout",
        "stderr": "printed to stderr",
    }
