"""Signs of life: while flows or phases are open, a process says every few seconds that it lives; at last, that it ends.

With them, work that hangs is told from work whose process is gone. Refuses to know spans, and to wait: what is open is
kept in a dictionary whose single operations need no lock, so that a signal handler or a fork finds nothing held.
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
# How long the end waits for a sign that is just being given, so that it comes after it.
_LAST_REPORT: Final = 0.2
_EMPTY_CONTEXT: Final = Context()
_log = logging.getLogger("otel_setup")


class Liveness:
    """One process's signs, given through ``logger`` every ``seconds``; the thread starts with the first work."""

    def __init__(self, logger: Logger, seconds: float) -> None:
        self.seconds = seconds
        self._logger = logger
        self.forked()

    def forked(self) -> None:
        """Makes it a new process's own: nothing is open, and no thread has come along."""
        self._open: dict[int, None] = {}
        self._stopped = threading.Event()
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def opened(self, span_id: int) -> None:
        """A flow or phase has begun. Never waits."""
        self._open[span_id] = None
        # Taken by the first, for good.
        if self._thread is None and self._start_lock.acquire(blocking=False):
            thread = threading.Thread(target=self._run, args=(self._stopped,), name="otelgres-alive", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # too many threads, or an interpreter on its way out: the next one tries again
                self._start_lock.release()
            else:
                self._thread = thread

    def closed(self, span_id: int) -> None:
        """It has ended. One that is not known is none of this process's."""
        self._open.pop(span_id, None)

    def end(self) -> None:
        """The process ends in order; told only if it has told of work. Waits for a sign just being given, briefly."""
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
        # A thread is started in the context of the work that was at hand, which this is not about.
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
        except Exception:  # noqa: BLE001 (telemetry must not fail the work it tells of)
            _log.debug("a sign of life was not given", exc_info=True)
        finally:
            detach(token)
