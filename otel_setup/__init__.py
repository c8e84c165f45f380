"""What an application imports: OpenTelemetry set up in one call, and flows to tell of its work.

Importing it costs OpenTelemetry's API only and changes nothing. It never imports the collector.
"""

from otel_setup.configure import configure_telemetry, shutdown_telemetry
from otel_setup.context_attributes import context_attributes
from otel_setup.events import record_event
from otel_setup.expectations import expected_checkpoints
from otel_setup.flows import checkpoint, current_flow_id, flow, phase
from otel_setup.propagation import extract, inject

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
