"""Start records: a log record when a flow or phase starts, so that hanging work is visible before its span ends.

The record uses OpenTelemetry's logs API directly and does not depend on the application's log level.
"""

import os
import threading
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, format_span_id

from otel_setup.api.values import text
from otel_setup.sdk_adapter import Logger, LogRecord, SeverityNumber

EVENT_NAME = "otelgres.span.start"


def record_start(
    logger: Logger, own: Context, span: Span, kind: str, title: str, flow_name: str | None, seconds: float | None
) -> None:
    """Emits the start record of ``span``, which is current in ``own``; a processor adds ``log.record.uid``.

    ``seconds`` is the interval of this process's liveness reports, None without them.
    """
    attributes: dict[str, Any] = {
        "otelgres.type": kind,
        "otelgres.span.name": title,
        "process.pid": os.getpid(),
        "thread.name": text(threading.current_thread().name),
    }
    if seconds is not None:
        attributes["otelgres.report.interval"] = seconds
    if flow_name:
        attributes["otelgres.flow.name"] = flow_name
    parent = getattr(span, "parent", None)
    if parent is not None:
        attributes["otelgres.parent.span_id"] = format_span_id(parent.span_id)
    logger.emit(
        LogRecord(
            timestamp=getattr(span, "start_time", None),
            context=own,
            severity_number=SeverityNumber.INFO,
            severity_text="INFO",
            attributes=attributes,
            event_name=EVENT_NAME,
        )
    )
