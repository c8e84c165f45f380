"""The process's counts of its own telemetry as metrics ``otelgres.telemetry.*``, and queues that count what they lose.

Only what went another way than to the collector is reported: where nothing goes wrong there is no point at all.
Refuses to know who counts.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otel_setup.export.stats import Counts
from otel_setup.sdk_adapter import watch_queue
from otelgres.exporters.batch import Signal


def report(meter: Meter, counts: Counts, spool_bytes: Callable[[], int]) -> None:
    """Registers the instruments, which are read once an export interval."""

    def items(_: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(number, {"otelgres.signal": signal.value, "otelgres.disposition": disposition})
            for signal, dispositions in counts.items().items()
            for disposition, number in dispositions.items()
            if number and disposition != "sent"
        ]

    def values(_: CallbackOptions) -> Iterable[Observation]:
        changes = counts.changes().items()
        return [Observation(number, {"otelgres.change": change}) for change, number in changes if number]

    def size(_: CallbackOptions) -> Iterable[Observation]:
        used = spool_bytes()
        return [Observation(used)] if used else []

    meter.create_observable_counter(
        "otelgres.telemetry.items", [items], "{item}", "Spans, log records and metric points by what became of them."
    )
    meter.create_observable_counter(
        "otelgres.telemetry.values", [values], "{value}", "Values truncated or redacted, spool records found damaged."
    )
    meter.create_observable_gauge("otelgres.telemetry.spool.size", [size], "By", "Bytes in the spool directory.")


def count_overflow(processor: Any, signal: Signal, counts: Counts) -> None:
    """Counts what the queue of an SDK's new batch processor holds and loses."""
    counts.watch(signal, watch_queue(processor, partial(counts.overflow, signal)))
