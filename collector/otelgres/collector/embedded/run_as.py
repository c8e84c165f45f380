"""Changes the operating-system user, then runs a program: ``python -I -S run_as.py UID GID PROGRAM [ARGUMENT ...]``.

``command`` returns the command line for ``subprocess``. The ``user`` argument of ``subprocess`` is not used: it needs
``fork``, and gRPC's fork handlers break the child of a process with gRPC threads. This script is started with
``vfork``, which calls no handlers, and replaces itself by the program: process id, working directory, environment and
standard streams stay the same. It imports the standard library only.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

# The exit statuses of `env` and of a shell; 2 is that of wrong arguments.
_USAGE = 2
_FAILED = 126
_NOT_FOUND = 127
_LARGEST_ID = 2**32 - 2  # setuid reads the next number as -1: no change


def command(uid: int, gid: int, program: Sequence[str]) -> list[str]:
    """The command line that runs ``program`` as user ``uid`` with ``gid`` as its only group.

    Otherwise it prints one line on stderr and exits with status 127 if the program does not exist, or 126 if the user
    cannot be changed or the program cannot be run.
    """
    # -I and -S: the environment and installed packages must not affect what a root process imports here.
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(uid), str(gid), *program]


def _main(arguments: Sequence[str]) -> None:
    if not (len(arguments) >= 3 and _is_id(arguments[0]) and _is_id(arguments[1]) and arguments[2]):
        _exit(_USAGE, f"usage: run_as.py UID GID PROGRAM [ARGUMENT ...], with UID and GID from 0 to {_LARGEST_ID}")
    uid, gid, program, *_ = arguments
    # Python ignores these two signals, and a program inherits that.
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    except OSError as error:
        _exit(_FAILED, f"cannot become user id {uid} with group id {gid}: {error.strerror}")
    try:
        os.execvp(program, list(arguments[2:]))  # noqa: S606 (no shell on purpose)
    except OSError as error:
        status = _NOT_FOUND if isinstance(error, FileNotFoundError) else _FAILED
        _exit(status, f"cannot run {program!r} as user id {uid}: {error.strerror}")


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST_ID)) and int(text) <= _LARGEST_ID


def _exit(status: int, line: str) -> NoReturn:
    sys.stderr.write(line + "\n")
    sys.exit(status)


if __name__ == "__main__":
    _main(sys.argv[1:])
