"""The logger's state in numbers: for the caller, and as metrics ``otelgres.logger.*`` for the database."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from opentelemetry.metrics import CallbackOptions, Observation

from otel_setup.api import providers
from otel_setup.export.pipeline import ExportPipeline, ExportStats
from otel_setup.export.stats import DISPOSITIONS
from otel_setup.process.shutdown import Telemetry
from otelgres.exporters.batch import Signal


def status(telemetry: Telemetry | None) -> dict[str, Any]:
    """Log records by disposition and in the queue; accepted and failed batches, their last times and reason."""
    pipeline = _pipeline(telemetry)
    counts = telemetry.counts if telemetry is not None else None
    record = pipeline.stats if pipeline is not None else ExportStats()
    dispositions = counts.items()[Signal.LOGS] if counts is not None else dict.fromkeys(DISPOSITIONS, 0)
    return {
        "storing": pipeline is not None and telemetry is not None and not telemetry.ended,
        "connected": pipeline is not None and record.last_flush is not None and not pipeline.failing,
        "queued": counts.queued(Signal.LOGS) if counts is not None else 0,
        **{str(disposition): number for disposition, number in dispositions.items()},
        "flushes": record.flushes,
        "errors": record.errors,
        "last_flush": _time(record.last_flush),
        "last_error": _time(record.last_error),
        "last_error_reason": record.reason,
    }


def report(telemetry: Telemetry) -> None:
    """Registers the instruments, which are read once per export interval."""
    pipeline, counts, meters = _pipeline(telemetry), telemetry.counts, telemetry.meter_provider
    if pipeline is None or counts is None or meters is None:
        return
    meter = meters.get_meter(providers.SCOPE)

    def records(_: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(number, {"otelgres.disposition": disposition})
            for disposition, number in counts.items()[Signal.LOGS].items()
        ]

    def one(read: Callable[[], float | None]) -> list[Callable[[CallbackOptions], Iterable[Observation]]]:
        return [lambda _: [] if (number := read()) is None else [Observation(number)]]

    meter.create_observable_counter("otelgres.logger.records", [records], "{record}", "Log records by disposition.")
    meter.create_observable_counter(
        "otelgres.logger.flushes", one(lambda: pipeline.stats.flushes), "{batch}", "Batches that were accepted."
    )
    meter.create_observable_counter(
        "otelgres.logger.errors", one(lambda: pipeline.stats.errors), "{batch}", "Batches that were not accepted."
    )
    meter.create_observable_gauge(
        "otelgres.logger.queued",
        one(lambda: counts.queued(Signal.LOGS)),
        "{record}",
        "Log records in the queue.",
    )
    meter.create_observable_gauge(
        "otelgres.logger.last_flush",
        one(lambda: pipeline.stats.last_flush),
        "s",
        "When a batch was last accepted, since 1970.",
    )
    meter.create_observable_gauge(
        "otelgres.logger.last_error",
        one(lambda: pipeline.stats.last_error),
        "s",
        "When one last failed, since 1970.",
    )


def _pipeline(telemetry: Telemetry | None) -> ExportPipeline | None:
    pipelines = telemetry.pipelines if telemetry is not None else []
    return next((pipeline for pipeline in pipelines if pipeline.signal is Signal.LOGS), None)


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
