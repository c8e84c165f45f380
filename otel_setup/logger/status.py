"""How the logger is doing, in numbers: for the caller, and as metrics ``otelgres.logger.*`` for the database.

Refuses to know who asks.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from opentelemetry.metrics import CallbackOptions, Observation

from otel_setup.api import providers
from otel_setup.export.pipeline import Delivery, Record
from otel_setup.export.stats import FATES
from otel_setup.process.shutdown import Telemetry
from otelgres.exporters.batch import Signal


def status(telemetry: Telemetry | None) -> dict[str, Any]:
    """Log records by fate and waiting, batches taken and not, when last, and why not."""
    delivery = _delivery(telemetry)
    counts = telemetry.counts if telemetry is not None else None
    record = delivery.record if delivery is not None else Record()
    fates = counts.items()[Signal.LOGS] if counts is not None else dict.fromkeys(FATES, 0)
    return {
        "storing": delivery is not None and telemetry is not None and not telemetry.ended,
        "connected": delivery is not None and record.last_flush is not None and not delivery.failing,
        "queued": counts.queued(Signal.LOGS) if counts is not None else 0,
        **{str(fate): number for fate, number in fates.items()},
        "flushes": record.flushes,
        "errors": record.errors,
        "last_flush": _time(record.last_flush),
        "last_error": _time(record.last_error),
        "last_error_reason": record.reason,
    }


def report(telemetry: Telemetry) -> None:
    """Registers the instruments, which are read once an export interval."""
    delivery, counts, meters = _delivery(telemetry), telemetry.counts, telemetry.meter_provider
    if delivery is None or counts is None or meters is None:
        return
    meter = meters.get_meter(providers.SCOPE)

    def records(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(number, {"otelgres.fate": fate}) for fate, number in counts.items()[Signal.LOGS].items()]

    def one(look: Callable[[], float | None]) -> list[Callable[[CallbackOptions], Iterable[Observation]]]:
        return [lambda _: [] if (number := look()) is None else [Observation(number)]]

    meter.create_observable_counter(
        "otelgres.logger.records", [records], "{record}", "Log records by what became of them."
    )
    meter.create_observable_counter(
        "otelgres.logger.flushes", one(lambda: delivery.record.flushes), "{batch}", "Batches that were taken."
    )
    meter.create_observable_counter(
        "otelgres.logger.errors", one(lambda: delivery.record.errors), "{batch}", "Batches that were not taken."
    )
    meter.create_observable_gauge(
        "otelgres.logger.queued",
        one(lambda: counts.queued(Signal.LOGS)),
        "{record}",
        "Log records waiting for their batch.",
    )
    meter.create_observable_gauge(
        "otelgres.logger.last_flush",
        one(lambda: delivery.record.last_flush),
        "s",
        "When a batch was taken last, since 1970.",
    )
    meter.create_observable_gauge(
        "otelgres.logger.last_error", one(lambda: delivery.record.last_error), "s", "When one was not, since 1970."
    )


def _delivery(telemetry: Telemetry | None) -> Delivery | None:
    deliveries = telemetry.deliveries if telemetry is not None else []
    return next((delivery for delivery in deliveries if delivery.signal is Signal.LOGS), None)


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
