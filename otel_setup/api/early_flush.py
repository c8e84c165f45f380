"""Early flush: exports ended spans after some milliseconds instead of with the next batch.

The first request starts a thread, which collects for a moment and then flushes the span queue.
"""

import logging
import os
import threading
import time
from typing import Final

from otel_setup.api import providers

_log = logging.getLogger("otel_setup")

# Spans that end within this time share one request.
_COLLECT_SECONDS: Final = 0.01


class _FlushThread:
    """The flushing thread of one process; a forked child starts its own."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.requested = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otelgres-early-flush", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            self.requested.wait()
            time.sleep(_COLLECT_SECONDS)
            # Before the flush, so that a span that ends during it requests another one.
            self.requested.clear()
            try:
                providers.flush()
            except Exception:  # noqa: BLE001 (the next batch exports them)
                _log.debug("early flush failed", exc_info=True)


_flusher: _FlushThread | None = None
_lock = threading.Lock()


def flush_soon() -> None:
    """Exports the spans that have ended within some milliseconds. Never waits, never raises."""
    try:
        flusher = _flusher
        if flusher is None or flusher.pid != os.getpid():
            flusher = _start()
        if not flusher.requested.is_set():
            flusher.requested.set()
    except Exception:  # noqa: BLE001 (telemetry must not break the application)
        _log.debug("early flush failed", exc_info=True)


def _start() -> _FlushThread:
    global _flusher
    with _lock:
        if _flusher is None or _flusher.pid != os.getpid():
            _flusher = _FlushThread()
        return _flusher


def _new_process() -> None:
    # Another thread may have held the lock at the fork.
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_process)
