"""Events: log records with an event name, for data rather than text. Never raises, never waits.

They use OpenTelemetry's logs API directly, so the application's log levels and handlers do not affect them.
"""

import logging
import time
from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context, get_current

from otel_setup.api import providers
from otel_setup.api.ids import record_uid
from otel_setup.api.values import clean, clean_mapping, text
from otel_setup.sdk_adapter import LogRecord, SeverityNumber, log_attributes

_logger = logging.getLogger("otel_setup")
_SEVERITIES = {
    "TRACE": SeverityNumber.TRACE,
    "DEBUG": SeverityNumber.DEBUG,
    "INFO": SeverityNumber.INFO,
    "WARN": SeverityNumber.WARN,
    "WARNING": SeverityNumber.WARN,
    "ERROR": SeverityNumber.ERROR,
    "FATAL": SeverityNumber.FATAL,
    "CRITICAL": SeverityNumber.FATAL,
}
_TEXTS = {"WARNING": "WARN", "CRITICAL": "FATAL"}


def record_event(
    name: str,
    attributes: Mapping[str, Any] | None = None,
    *,
    body: Any = None,
    severity: str = "INFO",
    time_ns: int | None = None,
    where: Context | None = None,
) -> None:
    """Records event ``name`` at ``time_ns`` (nanoseconds since 1970; None: now), in the current context or ``where``.

    ``severity`` is a level name of OpenTelemetry or of stdlib logging; an unknown one becomes INFO. Never raises.
    """
    try:
        level = text(severity).upper()
        now = time.time_ns()
        fields = clean_mapping(attributes) if attributes else {}
        fields.setdefault("log.record.uid", record_uid())
        providers.events.emit(
            LogRecord(
                timestamp=now if time_ns is None else time_ns,
                observed_timestamp=now,
                context=get_current() if where is None else where,
                severity_number=_SEVERITIES.get(level, SeverityNumber.INFO),
                severity_text=_TEXTS.get(level, level if level in _SEVERITIES else "INFO"),
                body=clean(body),
                attributes=log_attributes(fields),
                event_name=text(name),
            )
        )
    except Exception:  # telemetry must not break the application
        _logger.debug("an event was not recorded", exc_info=True)
