"""Hooks that flush telemetry at exit and reset it after a fork: atexit, SIGTERM, fork, multiprocessing.

A signal handler of the application stays in effect.
"""

import atexit
import contextlib
import multiprocessing.util
import os
import signal
import threading
from types import FrameType
from typing import Any

from otel_setup.process.fork import adopt
from otel_setup.process.shutdown import Telemetry

# Runs after all finalizers of multiprocessing, so that their records are included.
_LAST_FINALIZER = -100


def install(telemetry: Telemetry, *, signals: bool) -> None:
    """Installs the hooks for this process and those forked from it. Call it once per process."""
    atexit.register(telemetry.shutdown)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: adopt(telemetry))
    _finalize(telemetry)
    # A forked child of multiprocessing drops finalizers and skips atexit, but runs this before its target.
    multiprocessing.util.register_after_fork(telemetry, _finalize)
    if signals and threading.current_thread() is threading.main_thread():
        _handle_sigterm(telemetry)


def _finalize(telemetry: Telemetry) -> None:
    multiprocessing.util.Finalize(None, telemetry.shutdown, exitpriority=_LAST_FINALIZER)


def _handle_sigterm(telemetry: Telemetry) -> None:
    previous: Any = signal.getsignal(signal.SIGTERM)
    # SIG_IGN was chosen by the application; a handler of C code (None) cannot be called from here.
    if previous is None or previous is signal.SIG_IGN:
        return

    def flush_and_exit(signum: int, frame: FrameType | None) -> None:
        telemetry.shutdown()
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    def flush_in_background(signum: int, frame: FrameType | None) -> None:
        # Does not wait: the application's handler decides how to end, and atexit flushes again.
        # Where no thread can be started (gevent's event loop, a limit), atexit alone flushes.
        with contextlib.suppress(Exception):
            threading.Thread(target=telemetry.force_flush, daemon=True).start()
        previous(signum, frame)

    signal.signal(signal.SIGTERM, flush_and_exit if previous is signal.SIG_DFL else flush_in_background)
