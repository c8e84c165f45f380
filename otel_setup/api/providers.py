"""What flows and phases speak through: OpenTelemetry's API until ``configure`` puts our providers behind it.

The one place with process-wide state that flows read. Refuses to know the SDK: without it everything is a no-op.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from opentelemetry import trace

from otel_setup.sdk_adapter import Logger, get_logger

if TYPE_CHECKING:
    from otel_setup.api.liveness import Liveness

SCOPE = "otel_setup"

tracer: trace.Tracer = trace.get_tracer(SCOPE)
# Where start records go; None while nobody asked for them.
starts: Logger | None = None
# Told of what begins and ends; None together with ``starts``.
liveness: "Liveness | None" = None
# Where events go.
events: Logger = get_logger(SCOPE)
# Empties the queue of spans; takes as long as an export takes.
flush: Callable[[], object] = lambda: None  # noqa: E731 (until there is one)
