"""Processors that add the context's attributes (``api.context_attributes``) to spans and log records."""

from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel_setup.api.context_attributes import current_attributes
from otel_setup.sdk_adapter import LogRecordProcessor, ReadWriteLogRecord, add_attributes


class SpanAttributes(SpanProcessor):
    """Adds them to every span as it starts."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Adds missing attributes. Reads the current context first: a flow's root span has an empty parent context."""
        carried = current_attributes() or current_attributes(parent_context)
        if carried:
            own = span.attributes or {}
            add_attributes(span, {key: value for key, value in carried.items() if key not in own})

    def on_end(self, span: ReadableSpan) -> None:
        """Does nothing."""

    def shutdown(self) -> None:
        """Does nothing."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Does nothing: this processor has no queue."""
        return True


class LogAttributes(LogRecordProcessor):
    """Adds them to every log record."""

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Adds the attributes that the record lacks."""
        record = log_record.log_record
        carried = current_attributes(record.context) or current_attributes()
        if carried:
            attributes: Any = record.attributes
            for key, value in carried.items():
                if key not in attributes:
                    attributes[key] = value

    def shutdown(self) -> None:
        """Does nothing."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Does nothing: this processor has no queue."""
        return True
