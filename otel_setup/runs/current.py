"""Which run is current: carried by OpenTelemetry's context into coroutines, tasks and threads."""

import uuid
from typing import Final, Protocol, cast

from opentelemetry import context
from opentelemetry.context import Context

from otel_setup.runs.metrics import LogMetricsCollector

_KEY: Final = context.create_key("otelgres_run")


class CurrentRun(Protocol):
    """What other modules read of the current run."""

    name: str
    execution_id: uuid.UUID
    writes: bool
    metrics: LogMetricsCollector


def execution() -> CurrentRun | None:
    """The run that is current here."""
    return cast("CurrentRun | None", context.get_value(_KEY))


def with_execution(run: CurrentRun) -> Context:
    """The current context, and ``run`` as the run of it."""
    return context.set_value(_KEY, run)
