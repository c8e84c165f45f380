"""Liveness: while flows or phases are open, a process reports every few seconds that it is alive, and its end.

The reports distinguish work that hangs from work whose process has died. Open spans are kept in a dictionary whose
single operations need no lock, so that signal handlers and forks cannot deadlock.
"""

import logging
import os
import threading
import time
from typing import Final

from opentelemetry import context
from opentelemetry.context import Context

from otel_setup.api.detach import detach
from otel_setup.sdk_adapter import Logger, LogRecord, SeverityNumber

ALIVE: Final = "otelgres.process.alive"
END: Final = "otelgres.process.end"
INTERVAL: Final = "otelgres.report.interval"
# How long end() waits for a report in progress, so that the end is the last one.
_LAST_REPORT: Final = 0.2
_EMPTY_CONTEXT: Final = Context()
_log = logging.getLogger("otel_setup")


class Liveness:
    """Reports through ``logger`` every ``seconds``, on a thread that starts with the first flow or phase."""

    def __init__(self, logger: Logger, seconds: float) -> None:
        self.seconds = seconds
        self._logger = logger
        self.forked()

    def forked(self) -> None:
        """Resets the state in a new process: no open spans, no thread."""
        self._open: dict[int, None] = {}
        self._stopped = threading.Event()
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def opened(self, span_id: int) -> None:
        """Adds a flow or phase that started. Never waits."""
        self._open[span_id] = None
        # The first caller takes the lock and keeps it.
        if self._thread is None and self._start_lock.acquire(blocking=False):
            thread = threading.Thread(target=self._run, args=(self._stopped,), name="otelgres-alive", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # too many threads, or interpreter shutdown: the next call tries again
                self._start_lock.release()
            else:
                self._thread = thread

    def closed(self, span_id: int) -> None:
        """Removes a flow or phase that ended; ignores unknown ids."""
        self._open.pop(span_id, None)

    def end(self) -> None:
        """Reports the orderly end of the process, if it had flows or phases. Waits briefly for a report in progress."""
        self._stopped.set()
        thread = self._thread
        if thread is not None:
            thread.join(_LAST_REPORT)
            self._emit(END)

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.wait(self.seconds):
            if self._open:
                self._emit(ALIVE)

    def _emit(self, event: str) -> None:
        # The thread inherited the context of the flow that started it; the report does not belong to that flow.
        token = context.attach(_EMPTY_CONTEXT)
        try:
            self._logger.emit(
                LogRecord(
                    timestamp=time.time_ns(),
                    context=_EMPTY_CONTEXT,
                    severity_number=SeverityNumber.INFO,
                    severity_text="INFO",
                    attributes={
                        "process.pid": os.getpid(),
                        "otelgres.open": len(self._open),
                        INTERVAL: self.seconds,
                    },
                    event_name=event,
                )
            )
        except Exception:  # noqa: BLE001 (telemetry must not break the application)
            _log.debug("a liveness report was not recorded", exc_info=True)
        finally:
            detach(token)
