"""Writes the attributes that the context carries onto spans and log records. Refuses to know who put them there."""

from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel_setup.api.context_attributes import current_attributes
from otel_setup.sdk_adapter import LogRecordProcessor, ReadWriteLogRecord, add_attributes


class SpanAttributes(SpanProcessor):
    """Puts them on every span as it starts."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Adds what the span does not say itself. Asks the current context: the root of a flow is started in none."""
        carried = current_attributes() or current_attributes(parent_context)
        if carried:
            own = span.attributes or {}
            add_attributes(span, {key: value for key, value in carried.items() if key not in own})

    def on_end(self, span: ReadableSpan) -> None:
        """Nothing."""

    def shutdown(self) -> None:
        """Nothing to stop."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept here."""
        return True


class LogAttributes(LogRecordProcessor):
    """Puts them on every log record."""

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Adds what the record does not say itself."""
        record = log_record.log_record
        carried = current_attributes(record.context) or current_attributes()
        if carried:
            attributes: Any = record.attributes
            for key, value in carried.items():
                if key not in attributes:
                    attributes[key] = value

    def shutdown(self) -> None:
        """Nothing to stop."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept here."""
        return True
