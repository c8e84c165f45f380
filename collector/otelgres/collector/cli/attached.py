"""``python -m otelgres.collector.cli.attached COMMAND …``: an ``otelgres`` command that ends when its stdin closes.

A parent that is killed cannot stop its children, but its end of a pipe closes whatever happens. Refuses to know which
command it is.
"""

import os
import signal
import sys
import threading
from _thread import interrupt_main

from otelgres.collector.cli import main


def _end_with_stdin() -> None:
    # Not sys.stdin.read(): that holds a lock for which the interpreter, when it ends first, aborts.
    while os.read(0, 4096):
        pass
    if sys.platform == "win32":
        interrupt_main(signal.SIGINT)
    else:
        # A real signal, and to the main thread: a simulated one does not end a wait for a lock there.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


if __name__ == "__main__":
    # A shell that starts a job in the background has it ignore SIGINT, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with_stdin, name="parent", daemon=True).start()
    main()
