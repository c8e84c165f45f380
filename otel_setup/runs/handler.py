"""``DatabaseLogHandler``: a stdlib handler that sends what one logger says to the database.

For whoever attaches a handler to a logger; ``configure_telemetry`` alone covers all loggers. Refuses to send a record
that is sent already, and to raise or wait.
"""

import logging
from typing import TYPE_CHECKING, Any

from otel_setup.configure import configure_telemetry, current
from otel_setup.runs.defaults import defaults
from otel_setup.runs.execution import current_run

if TYPE_CHECKING:
    from otel_setup.sdk.log_bridge import LogBridge


class DatabaseLogHandler(logging.Handler):
    """Sends records to the receiver, in the run that they are written in.

    Sets telemetry up if that has not been done (``telemetry`` goes to ``configure_telemetry``), then without the bridge
    of the root logger: only loggers with this handler are sent. In demo mode and without database logging it does
    nothing.
    """

    def __init__(self, service_name: str | None = None, *, level: int = logging.NOTSET, **telemetry: Any) -> None:
        super().__init__(level)
        self._bridge: LogBridge | None = None
        if defaults.writes and not defaults.demo_mode:
            telemetry = {"capture_logs": False, **telemetry}
            self._bridge = _bridge(current() or configure_telemetry(service_name, **telemetry))

    def emit(self, record: logging.LogRecord) -> None:
        """Queues ``record``, unless the root logger's bridge gets it too or its run is not to be written."""
        execution = current_run()
        if self._bridge is None or (execution is not None and not execution.writes):
            return
        if not _bridged(record.name):
            self._bridge.handle(record)


def _bridge(telemetry: Any) -> "LogBridge | None":
    provider = telemetry.logger_provider
    if provider is None:
        return None
    from otel_setup.export.stats import Counts
    from otel_setup.sdk.log_bridge import LogBridge

    return LogBridge(provider, logging.NOTSET, 256 * 1024, Counts())


def _bridged(name: str) -> bool:
    """Whether what this logger says reaches a bridge on the way up."""
    from otel_setup.sdk.log_bridge import LogBridge

    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        if any(isinstance(handler, LogBridge) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False
