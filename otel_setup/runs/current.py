"""Which run this is: carried by OpenTelemetry's context into coroutines, tasks and threads.

Refuses to know what a run is.
"""

from typing import TYPE_CHECKING, Final, cast

from opentelemetry import context
from opentelemetry.context import Context

if TYPE_CHECKING:
    from otel_setup.runs.execution import Execution

_KEY: Final = context.create_key("otelgres_run")


def execution() -> "Execution | None":
    """The run that is current here."""
    return cast("Execution | None", context.get_value(_KEY))


def with_execution(run: "Execution") -> Context:
    """The current context, and ``run`` as the run of it."""
    return context.set_value(_KEY, run)
