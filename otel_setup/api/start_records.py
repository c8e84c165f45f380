"""Start records: a log record when a flow or phase begins, so that work which hangs is seen before its span ends.

Refuses to know stdlib logging: the record goes straight through OpenTelemetry's logs API, whatever the log level.
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
    """Emits the start of ``span``, which is current in ``own``; ``log.record.uid`` is added on the way out.

    ``seconds`` is how often this process gives a sign of life, None if it does not.
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
