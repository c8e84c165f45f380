"""Spans that are to be seen soon: handed over a moment after they ended, not with the next batch.

A thread of its own, begun by the first that asks, waits a moment for company and has the queue of spans emptied.
Refuses to know who asks and where spans go.
"""

import logging
import os
import threading
import time
from typing import Final

from otel_setup.api import providers

_log = logging.getLogger("otel_setup")

# Company costs less than a request of one's own, and nobody sees a hundredth of a second.
_COLLECT_SECONDS: Final = 0.01


class _FlushThread:
    """One process's thread; a fork's copy begins its own."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.requested = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otelgres-early-flush", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            self.requested.wait()
            time.sleep(_COLLECT_SECONDS)
            # Before the flush: what ends while it is at work asks for another one.
            self.requested.clear()
            try:
                providers.flush()
            except Exception:  # noqa: BLE001 (the next batch will do)
                _log.debug("spans were not handed over early", exc_info=True)


_flusher: _FlushThread | None = None
_lock = threading.Lock()


def flush_soon() -> None:
    """What has ended until now is sent in some milliseconds. Waits for nothing; never raises."""
    try:
        flusher = _flusher
        if flusher is None or flusher.pid != os.getpid():
            flusher = _begin()
        if not flusher.requested.is_set():
            flusher.requested.set()
    except Exception:  # noqa: BLE001 (telemetry must not fail the work it tells of)
        _log.debug("spans are not handed over early", exc_info=True)


def _begin() -> _FlushThread:
    global _flusher
    with _lock:
        if _flusher is None or _flusher.pid != os.getpid():
            _flusher = _FlushThread()
        return _flusher


def _new_process() -> None:
    # Another thread may have held it when the process was forked.
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_process)
