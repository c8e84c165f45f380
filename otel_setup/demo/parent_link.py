"""Connects a sample process to the process that started it: reports its port and its counts, and waits for the end.

The demo compares the counts with the rows in the database. An application needs none of this.
"""

import contextlib
import json
import sys
import threading

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from otel_setup.process.shutdown import Telemetry
from otel_setup.sdk_adapter import LogRecordProcessor, ReadWriteLogRecord

_FLUSH_SECONDS = 10.0
_ORPHAN_FLUSH_SECONDS = 1.0  # without the starting process there is no receiver either


class _Spans(SpanProcessor):
    def __init__(self) -> None:
        self.ended = 0
        self._lock = threading.Lock()

    def on_end(self, span: ReadableSpan) -> None:
        with self._lock:
            self.ended += 1


class _Logs(LogRecordProcessor):
    def __init__(self) -> None:
        self.emitted = 0
        self._lock = threading.Lock()

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        with self._lock:
            self.emitted += 1

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


class ParentLink:
    """Writes lines of JSON to stdout; reads stdin, which the starting process closes (after a line, unless it died)."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._orphaned = False
        self._spans = _Spans()
        self._logs = _Logs()
        if telemetry.tracer_provider is not None:
            telemetry.tracer_provider.add_span_processor(self._spans)
        if telemetry.logger_provider is not None:
            telemetry.logger_provider.add_log_record_processor(self._logs)

    def ready(self, port: int) -> None:
        """Reports the port on which this process listens."""
        _report({"port": port})

    def wait(self) -> None:
        """Returns when stdin closes: the starting process ends the demo, or has died."""
        self._orphaned = not sys.stdin.buffer.read()

    def close(self) -> None:
        """Shuts down telemetry and reports the numbers of spans and log records."""
        flushed = self._telemetry.shutdown(_ORPHAN_FLUSH_SECONDS if self._orphaned else _FLUSH_SECONDS)
        _report({"spans": self._spans.ended, "logs": self._logs.emitted, "flushed": flushed})


def _report(line: dict[str, int | bool]) -> None:
    with contextlib.suppress(OSError):  # the starting process has gone
        print(json.dumps(line), flush=True)
