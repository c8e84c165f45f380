"""What flows and phases speak through: OpenTelemetry's API until ``configure`` puts our providers behind it.

The one place with process-wide state that flows read. Refuses to know the SDK: without it everything is a no-op.
"""

from opentelemetry import _logs, trace

SCOPE = "otel_setup"

tracer: trace.Tracer = trace.get_tracer(SCOPE)
# Where start records go; None while nobody asked for them.
starts: _logs.Logger | None = None
# Where events go.
events: _logs.Logger = _logs.get_logger(SCOPE)
