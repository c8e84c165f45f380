"""``DatabaseLogHandler``: a stdlib handler that sends the records of single loggers to the database.

``configure_telemetry`` alone covers all loggers. A record is sent only once. The handler never raises and never waits.
"""

import logging
from typing import TYPE_CHECKING, Any

from otel_setup.configure import configure_telemetry, current
from otel_setup.runs.defaults import defaults
from otel_setup.runs.execution import current_run

if TYPE_CHECKING:
    from otel_setup.sdk.log_bridge import LogBridge


class DatabaseLogHandler(logging.Handler):
    """Sends records to the receiver, as part of their run.

    Configures telemetry if needed (``telemetry`` are arguments of ``configure_telemetry``), without a bridge on the
    root logger, so that only records of loggers with this handler are sent. In demo mode, or without database logging,
    it does nothing.
    """

    def __init__(self, service_name: str | None = None, *, level: int = logging.NOTSET, **telemetry: Any) -> None:
        super().__init__(level)
        self._bridge: LogBridge | None = None
        if defaults.writes and not defaults.demo_mode:
            telemetry = {"capture_logs": False, **telemetry}
            self._bridge = _bridge(current() or configure_telemetry(service_name, **telemetry))

    def emit(self, record: logging.LogRecord) -> None:
        """Queues ``record``, unless a bridge of the loggers above sends it or its run is suppressed."""
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
    """Whether the records of logger ``name`` reach a bridge on it or a logger above."""
    from otel_setup.sdk.log_bridge import LogBridge

    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        if any(isinstance(handler, LogBridge) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False
