"""Become another operating-system user, then run a program: ``python -I -S run_as.py UID GID PROGRAM [ARGUMENT ...]``.

``command`` gives the command line for ``subprocess``. A child to which ``subprocess`` itself gives another user is made
with ``fork``, and gRPC's handlers for it break the child of a process with gRPC threads. This script is started with
``vfork``, which calls no handlers, and is replaced by the program: the process id, the working directory, the
environment and the standard streams stay. It imports the standard library only.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_FAILED = 126  # what a shell exits with when it cannot run a program


def command(uid: int, gid: int, program: Sequence[str]) -> list[str]:
    """The command line that runs ``program`` as user ``uid`` and group ``gid``, in no other group.

    It ends with exit status 126 and one line on stderr when the user cannot be changed or the program cannot be run.
    """
    # -I and -S: neither the environment nor installed packages decide what a process of root imports here.
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(uid), str(gid), *program]


def _main(uid: str, gid: str, program: str, *arguments: str) -> None:
    # Python ignores these two signals, and a program inherits that.
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
        os.execvp(program, [program, *arguments])  # noqa: S606 (no shell on purpose)
    except OSError as error:
        sys.stderr.write(f"cannot run {program} as user id {uid}: {error.strerror}\n")
        sys.exit(_FAILED)


if __name__ == "__main__":
    _main(*sys.argv[1:])
