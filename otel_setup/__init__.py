"""The application library: OpenTelemetry set up in one call, and flows, phases and checkpoints to record work.

Importing it loads only OpenTelemetry's API and has no side effects. It never imports the collector.
"""

from otel_setup.api.context_attributes import context_attributes
from otel_setup.api.events import record_event
from otel_setup.api.expectations import expected_checkpoints
from otel_setup.api.flows import checkpoint, current_flow_id, flow, phase
from otel_setup.api.propagation import extract, inject
from otel_setup.configure import configure_telemetry, shutdown_telemetry

__all__ = [
    "checkpoint",
    "configure_telemetry",
    "context_attributes",
    "current_flow_id",
    "expected_checkpoints",
    "extract",
    "flow",
    "inject",
    "phase",
    "record_event",
    "shutdown_telemetry",
]
