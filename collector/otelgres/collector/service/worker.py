"""One of several receivers on the same ports: ``python -m otelgres.collector.service.worker``, started by ``otelgres.collector.service.workers``.

Settings and DSN come as one line of JSON on stdin, where `ps` cannot see them; when stdin ends, the parent is gone and
so are we. Refuses to know how many others there are.
"""

import json
import os
import signal
import sys
import threading

from otelgres.collector.cli.options import log_to_stderr
from otelgres.collector.service.run import run
from otelgres.collector.service.settings import ReceiverSettings


def main() -> None:
    """Serves until SIGTERM, SIGINT or the end of stdin."""
    log_to_stderr()
    given = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    run(
        ReceiverSettings(**given["settings"]),
        given["dsn"],
        lambda receiver: print("ready", flush=True),
        reuse_port=True,
    )


def _end_with_parent() -> None:
    # Not sys.stdin.read(): that holds a lock for which the interpreter, when it ends first, aborts.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
