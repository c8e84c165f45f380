"""The application library: OpenTelemetry set up in one call, and flows, phases and checkpoints to record work.

Importing it loads only OpenTelemetry's API and has no side effects. It never imports the collector. ``__version__`` is
the installed version of otelgres.
"""

from typing import TYPE_CHECKING

from otel_setup.api.context_attributes import context_attributes
from otel_setup.api.events import record_event
from otel_setup.api.expectations import expected_checkpoints
from otel_setup.api.flows import checkpoint, current_flow_id, flow, phase
from otel_setup.api.propagation import extract, inject
from otel_setup.configure import configure_telemetry, shutdown_telemetry

if TYPE_CHECKING:
    __version__: str

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


def __getattr__(name: str) -> str:
    """``__version__``, looked up when it is asked for."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from otel_setup.config.version import installed_version

    return installed_version()
