"""Where the server's Unix socket lies: only the server's user and root can reach it, and its path is short enough.

Refuses to know what is spoken through it.
"""

import contextlib
import shutil
import stat
import tempfile
from pathlib import Path

from otelgres.collector.embedded.errors import EmbeddedPostgresError
from otelgres.collector.embedded.os_user import ServerUser

_LIMIT = 103  # bytes; sockaddr_un holds 107 and a NUL on Linux, 103 on macOS
_NAME = ".s.PGSQL.65535"
_PREFIX = "otelgres-"


def choose(pgdata: Path, user: ServerUser) -> Path:
    """A directory for the socket: ``pgdata`` itself (mode 0700), or a fresh private one with a shorter path.

    The fresh one has a random name and is made with mode 0700, so nobody can have put it there for us. Raises
    EmbeddedPostgresError, OSError.
    """
    if _fits(pgdata):
        return pgdata
    bases = [Path(tempfile.gettempdir())]
    if user.switch:
        bases.clear()  # our own temporary directory may be closed to the server's user
    for base in (*bases, Path("/tmp"), Path("/var/tmp")):  # noqa: S108 (only a base for mkdtemp)
        if base.is_dir() and _fits(base / f"{_PREFIX}12345678"):
            directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
            user.give(directory)
            return directory
    raise EmbeddedPostgresError(f"{pgdata} is too long a path for a Unix socket: give a shorter data directory.")


def remove(directory: Path, user: ServerUser) -> None:
    """Remove a directory that ``choose`` made; anything else that the name may lead to is left alone."""
    with contextlib.suppress(OSError):
        found = directory.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == user.uid and stat.S_IMODE(found.st_mode) == 0o700
        if ours and directory.name.startswith(_PREFIX):
            shutil.rmtree(directory, ignore_errors=True)


def _fits(directory: Path) -> bool:
    return len(bytes(directory / _NAME)) <= _LIMIT
