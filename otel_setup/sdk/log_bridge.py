"""Converts stdlib log records to OpenTelemetry log records, and gives every log record a uid.

Based on the handler of opentelemetry-instrumentation-logging, which survives ``basicConfig`` and ``dictConfig``.
"""

import asyncio
import logging
import sys
import time
from contextvars import ContextVar
from typing import Any

from opentelemetry.context import get_current

from otel_setup.api.exceptions import exception_attributes
from otel_setup.api.ids import record_uid
from otel_setup.api.values import clean, text
from otel_setup.export.stats import Counts
from otel_setup.sdk.truncation import Truncator
from otel_setup.sdk_adapter import (
    SUPPRESS_INSTRUMENTATION,
    Logger,
    LoggerProvider,
    LoggingHandler,
    LogRecord,
    LogRecordProcessor,
    ReadWriteLogRecord,
    SeverityNumber,
    keep_through_reconfiguration,
    log_attributes,
)

RECORD_UID = "log.record.uid"
_EVENT_NAME = "otel.event.name"
# It logs about exports from its own threads; other records made by an export are recognized by their context.
_SDK_LOGGER = "opentelemetry"
# Added for formatters by LoggingInstrumentor(inject_trace_context=True); OpenTelemetry records have them as fields.
_FORMATTER_FIELDS = ("otelTraceID", "otelSpanID", "otelTraceSampled", "otelServiceName")
# What every record of stdlib logging has, and what formatters write onto it.
_STANDARD_FIELDS = (*vars(logging.makeLogRecord({})), "asctime", "message", "taskName")
_NOT_ATTRIBUTES = frozenset((*_STANDARD_FIELDS, *_FORMATTER_FIELDS))
_SEVERITY_TEXTS = {"WARNING": "WARN", "CRITICAL": "FATAL"}

_emitting: ContextVar[bool] = ContextVar("otelgres_emitting", default=False)


class RecordUid(LogRecordProcessor):
    """Adds a uid to a record before it is queued, so that a repeated one is recognized. Must be the first processor."""

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Adds ``log.record.uid`` if the record has none."""
        attributes: Any = log_record.log_record.attributes
        if RECORD_UID not in attributes:
            attributes[RECORD_UID] = record_uid()

    def shutdown(self) -> None:
        """Does nothing."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Does nothing: this processor has no queue."""
        return True


class LogBridge(LoggingHandler):
    """A logging handler that emits OpenTelemetry records. Emitting never raises and never waits for the network."""

    def __init__(self, provider: LoggerProvider, level: int, body_bytes: int, counts: Counts) -> None:
        # The handler's level stays NOTSET: records below it would not reach the last resort either.
        super().__init__(logger_provider=provider)
        self._least = level
        self._body_bytes = body_bytes
        self._counts = counts
        self._provider = provider
        self._loggers: dict[str, Logger] = {}
        self.addFilter(_comes_from_the_application)

    def handle(self, record: logging.LogRecord) -> bool:
        """Emits ``record`` if its level and the filters allow it."""
        self._speak_for_last_resort(record)
        return record.levelno >= self._least and bool(super().handle(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Queues ``record``. A record logged during the conversion of another (by a ``__str__``) is dropped."""
        if _emitting.get():
            return
        token = _emitting.set(True)
        try:
            translated = _translate(record)
            body = translated.body
            if type(body) is str and len(body) > self._body_bytes:
                # The sanitizer truncates as well, but only after the queue of two thousand records.
                cutter = Truncator(self._body_bytes)
                translated.body = cutter.fit(body)
                self._counts.changed("truncated", cutter.cuts)
            self._logger(record.name).emit(translated)
        except Exception:  # noqa: BLE001, S110 — logging here would call this handler again
            pass
        finally:
            _emitting.reset(token)

    def flush(self) -> None:
        """Does nothing: ``process.shutdown`` flushes at exit, before logging.shutdown() flushes the handlers."""

    def _logger(self, name: str) -> Logger:
        logger = self._loggers.get(name)
        if logger is None:
            logger = self._loggers[name] = self._provider.get_logger(text(name))
        return logger

    def _speak_for_last_resort(self, record: logging.LogRecord) -> None:
        """Without any handler logging prints warnings to stderr; keeps that although the bridge is a handler."""
        last_resort = logging.lastResort
        if last_resort is None or record.levelno < last_resort.level or logging.root.handlers != [self]:
            return
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None and logger is not logging.root:
            if logger.handlers:
                return
            logger = logger.parent
        last_resort.handle(record)


def install(provider: LoggerProvider, level: int | None, body_bytes: int, counts: Counts) -> LogBridge:
    """Adds a bridge to the root logger and lowers the root level to ``level`` (None: INFO).

    With None, a root level other than logging's default WARNING was chosen by the application and stays. A text longer
    than ``body_bytes`` is truncated before it is queued.
    """
    bridge = LogBridge(provider, level or logging.NOTSET, body_bytes, counts)
    root = logging.getLogger()
    if level is not None:
        root.setLevel(min(root.level, level))
    elif root.level == logging.WARNING:
        root.setLevel(logging.INFO)
    root.addHandler(bridge)
    keep_through_reconfiguration(bridge)
    return bridge


def _comes_from_the_application(record: logging.LogRecord) -> bool:
    if record.name.partition(".")[0] == _SDK_LOGGER:
        return False
    # The application uses urllib3 and requests too: only their records from inside an export are dropped.
    return not get_current().get(SUPPRESS_INSTRUMENTATION)


def _translate(record: logging.LogRecord) -> LogRecord:
    attributes: dict[str, Any] = {
        text(key): clean(value) for key, value in vars(record).items() if key not in _NOT_ATTRIBUTES
    }
    event_name = attributes.pop(_EVENT_NAME, None)
    body, problem = _body(record)
    if problem:
        attributes["log.body.error"] = problem
    attributes["code.file.path"] = text(record.pathname)
    attributes["code.function.name"] = record.funcName
    attributes["code.line.number"] = record.lineno
    attributes["process.pid"] = record.process
    attributes["thread.id"] = record.thread
    attributes["thread.name"] = text(record.threadName)
    if task := _task_name(record):
        attributes["asyncio.task.name"] = text(task)
    if record.exc_info and record.exc_info[1] is not None:
        attributes.update(exception_attributes(record.exc_info[1]))
    if record.stack_info:
        attributes["code.stacktrace"] = text(record.stack_info)
    # Last: a record with too many attributes loses its first ones.
    attributes[RECORD_UID] = record_uid()
    return LogRecord(
        timestamp=int(record.created * 1e9),
        observed_timestamp=time.time_ns(),
        context=get_current() or None,
        severity_text=_SEVERITY_TEXTS.get(record.levelname, text(record.levelname)),
        severity_number=_severity(record.levelno),
        body=body,
        attributes=log_attributes(attributes),
        event_name=event_name if isinstance(event_name, str) else None,
    )


def _severity(level: int) -> SeverityNumber:
    """Steps of ten in stdlib are steps of four in OpenTelemetry: 10 is DEBUG, 13 to 19 are DEBUG4, 53 is FATAL4."""
    if level < logging.DEBUG:
        return SeverityNumber.TRACE if level > 0 else SeverityNumber.UNSPECIFIED
    tens, rest = divmod(min(level, 53), 10)
    return SeverityNumber(4 * tens + 1 + min(rest, 3))


def _body(record: logging.LogRecord) -> tuple[Any, str]:
    """The body (structured if the message is), and the type name of a formatting error ("" if none)."""
    if not record.args:
        return clean(record.msg), ""
    try:
        return clean(record.getMessage()), ""
    except Exception as error:  # noqa: BLE001 — arguments that do not fit the format, or whose str() raises
        return clean(record.msg), type(error).__name__


def _task_name(record: logging.LogRecord) -> str | None:
    if sys.version_info >= (3, 12):
        return record.taskName
    if asyncio._get_running_loop() is None:
        return None
    task = asyncio.current_task()
    return task.get_name() if task else None
