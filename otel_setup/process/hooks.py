"""When a process ends or forks, its telemetry is flushed or made over: atexit, SIGTERM, fork, multiprocessing.

Refuses to know how a flush is done, and to take a signal away from an application that handles it itself.
"""

import atexit
import multiprocessing.util
import os
import signal
import threading
from types import FrameType
from typing import Any

from otel_setup.process.fork import adopt, prepare, resume
from otel_setup.process.shutdown import Telemetry

# Above any priority that multiprocessing itself uses would run too early: the last finalizer sees the last records.
_LAST_FINALIZER = -100


def install(telemetry: Telemetry, *, signals: bool) -> None:
    """Ties ``telemetry`` to the life of this process and of those forked from it. Once per process."""
    atexit.register(telemetry.shutdown)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lambda: prepare(telemetry),
            after_in_parent=lambda: resume(telemetry),
            after_in_child=lambda: adopt(telemetry),
        )
    _finalize(telemetry)
    # A fork child of multiprocessing forgets finalizers and skips atexit, but runs this before its target.
    multiprocessing.util.register_after_fork(telemetry, _finalize)
    if signals and threading.current_thread() is threading.main_thread():
        _handle_sigterm(telemetry)


def _finalize(telemetry: Telemetry) -> None:
    multiprocessing.util.Finalize(None, telemetry.shutdown, exitpriority=_LAST_FINALIZER)


def _handle_sigterm(telemetry: Telemetry) -> None:
    previous: Any = signal.getsignal(signal.SIGTERM)
    # SIG_IGN is the application's will, and a handler of C code (None) cannot be called from here.
    if previous is None or previous is signal.SIG_IGN:
        return

    def flush_and_die(signum: int, frame: FrameType | None) -> None:
        telemetry.shutdown()
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    def flush_beside(signum: int, frame: FrameType | None) -> None:
        # Not waited for: how long its end may take is the application's to say, and atexit flushes again.
        threading.Thread(target=telemetry.force_flush, daemon=True).start()
        previous(signum, frame)

    signal.signal(signal.SIGTERM, flush_and_die if previous is signal.SIG_DFL else flush_beside)
