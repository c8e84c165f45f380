"""A worker process: one of several receivers on the same ports, started by ``service.workers``.

Settings and DSN are read as one line of JSON from stdin, where `ps` does not show them. The end of stdin means that the
parent has ended, and the worker exits.
"""

import json
import os
import signal
import sys
import threading

from otelgres.collector.service.log_output import log_to_stderr
from otelgres.collector.service.run import run
from otelgres.collector.service.settings import ReceiverSettings, SettingError
from otelgres.collector.system.terminal import guard_streams


def main() -> None:
    """Serves until SIGTERM, SIGINT or the end of stdin."""
    guard_streams()
    log_to_stderr()
    given = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    try:
        run(
            ReceiverSettings(**given["settings"]),
            given["dsn"],
            given["maintenance_dsn"],
            lambda receiver: print("ready", flush=True),
            reuse_port=True,
        )
    except SettingError as error:
        sys.exit(str(error))


def _end_with_parent() -> None:
    # Not sys.stdin.read(): it holds a lock that makes the interpreter abort at exit.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
