"""The tracer and loggers that flows use: OpenTelemetry's API, replaced by the configured providers in ``wiring``.

Process-wide state. Without an SDK everything is a no-op.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from opentelemetry import trace

from otel_setup.sdk_adapter import Logger, get_logger

if TYPE_CHECKING:
    from otel_setup.api.liveness import Liveness

SCOPE = "otel_setup"

tracer: trace.Tracer = trace.get_tracer(SCOPE)
# Receives start records; None if they are off.
starts: Logger | None = None
# Gets the starts and ends of flows and phases; None together with ``starts``.
liveness: "Liveness | None" = None
# Receives events.
events: Logger = get_logger(SCOPE)
# Flushes the span queue; takes as long as an export.
flush: Callable[[], object] = lambda: None  # noqa: E731 (replaced by wiring)
