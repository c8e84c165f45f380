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

_FAILED = 126  # the exit status of a shell that cannot run a program


def command(uid: int, gid: int, program: Sequence[str]) -> list[str]:
    """The command line that runs ``program`` as user ``uid`` with ``gid`` as its only group.

    It exits with status 126 and one line on stderr if the user cannot be changed or the program cannot be run.
    """
    # -I and -S: the environment and installed packages must not affect what a root process imports here.
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
