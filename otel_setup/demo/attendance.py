"""What ties a sample process to whoever started it: it says its port, ends when it is told, and says what it sent.

Counting what is recorded is for the demo alone, which compares it with what the database holds; an application needs
none of this. Refuses to know what the process does.
"""

import contextlib
import json
import sys
import threading

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from otel_setup.process.shutdown import Telemetry
from otel_setup.sdk_adapter import LogRecordProcessor, ReadWriteLogRecord

_FLUSH_SECONDS = 10.0
_ALONE_FLUSH_SECONDS = 1.0  # the receiver went with whoever started us


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
    """Talks with the starting process: lines of JSON go out; in comes a last word, or the end of stdin if it died."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._alone = False
        self._spans = _Spans()
        self._logs = _Logs()
        if telemetry.tracer_provider is not None:
            telemetry.tracer_provider.add_span_processor(self._spans)
        if telemetry.logger_provider is not None:
            telemetry.logger_provider.add_log_record_processor(self._logs)

    def ready(self, port: int) -> None:
        """Says where this process listens."""
        _report({"port": port})

    def wait(self) -> None:
        """Returns when stdin closes: because the starting process has had enough, or because it is gone."""
        self._alone = not sys.stdin.buffer.read()

    def leave(self) -> None:
        """Flushes, and says how many spans and log records there were. Nothing may be recorded any more."""
        flushed = self._telemetry.shutdown(_ALONE_FLUSH_SECONDS if self._alone else _FLUSH_SECONDS)
        _report({"spans": self._spans.ended, "logs": self._logs.emitted, "flushed": flushed})


def _report(line: dict[str, int | bool]) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        print(json.dumps(line), flush=True)
