"""The current run, stored in OpenTelemetry's context, which coroutines, tasks and threads inherit."""

import uuid
from typing import Final, Protocol, cast

from opentelemetry import context
from opentelemetry.context import Context

from otel_setup.runs.metrics import LogMetricsCollector

_KEY: Final = context.create_key("otelgres_run")


class CurrentRun(Protocol):
    """The attributes of the current run that other modules read."""

    name: str
    execution_id: uuid.UUID
    writes: bool
    metrics: LogMetricsCollector


def execution() -> CurrentRun | None:
    """The current run, or None."""
    return cast("CurrentRun | None", context.get_value(_KEY))


def with_execution(run: CurrentRun) -> Context:
    """The current context with ``run`` as its run."""
    return context.set_value(_KEY, run)
