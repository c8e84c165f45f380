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
_COMPANY_SECONDS: Final = 0.01


class _Hurry:
    """One process's thread; a fork's copy begins its own."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.asked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otelgres-prompt", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            self.asked.wait()
            time.sleep(_COMPANY_SECONDS)
            # Before the flush: what ends while it is at work asks for another one.
            self.asked.clear()
            try:
                providers.flush()
            except Exception:  # noqa: BLE001 (the next batch will do)
                _log.debug("spans were not handed over early", exc_info=True)


_hurry: _Hurry | None = None
_lock = threading.Lock()


def soon() -> None:
    """What has ended until now is sent in some milliseconds. Waits for nothing; never raises."""
    try:
        hurry = _hurry
        if hurry is None or hurry.pid != os.getpid():
            hurry = _begin()
        if not hurry.asked.is_set():
            hurry.asked.set()
    except Exception:  # noqa: BLE001 (telemetry must not fail the work it tells of)
        _log.debug("spans are not handed over early", exc_info=True)


def _begin() -> _Hurry:
    global _hurry
    with _lock:
        if _hurry is None or _hurry.pid != os.getpid():
            _hurry = _Hurry()
        return _hurry


def _new_process() -> None:
    # Another thread may have held it when the process was forked.
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_process)
