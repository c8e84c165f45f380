"""``python -m otelgres.collector.cli.attached COMMAND …``: an ``otelgres`` command that ends when its stdin closes.

A parent that is killed cannot stop its children, but its end of the pipe is closed in any case.
"""

import os
import signal
import sys
import threading
from _thread import interrupt_main

from otelgres.collector.cli import main


def _end_with_stdin() -> None:
    # sys.stdin.read() would hold a lock, and the interpreter aborts if it exits while the lock is held.
    while os.read(0, 4096):
        pass
    if sys.platform == "win32":
        interrupt_main(signal.SIGINT)
    else:
        # A real signal to the main thread: interrupt_main() does not interrupt a wait for a lock there.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


if __name__ == "__main__":
    # Shells start background jobs with SIGINT ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with_stdin, name="parent", daemon=True).start()
    main()
