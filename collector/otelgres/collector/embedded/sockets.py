"""Chooses the directory of the server's Unix socket: only the server's user and root have access; the path is short."""

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
    """A directory for the socket: ``pgdata`` itself (mode 0700), or a new private one with a shorter path.

    The new one has a random name and mode 0700, so another user cannot have created it. Raises EmbeddedPostgresError,
    OSError.
    """
    if _fits(pgdata):
        return pgdata
    bases = [Path(tempfile.gettempdir())]
    if user.switch:
        bases.clear()  # the server's user may not have access to our temporary directory
    for base in (*bases, Path("/tmp"), Path("/var/tmp")):  # noqa: S108 (only a base for mkdtemp)
        if base.is_dir() and _fits(base / f"{_PREFIX}12345678"):
            directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
            user.give(directory)
            return directory
    raise EmbeddedPostgresError(f"{pgdata} is too long a path for a Unix socket: use a shorter data directory.")


def remove(directory: Path, user: ServerUser) -> None:
    """Remove a directory that ``choose`` created; does nothing for any other directory or a link."""
    with contextlib.suppress(OSError):
        found = directory.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == user.uid and stat.S_IMODE(found.st_mode) == 0o700
        if ours and directory.name.startswith(_PREFIX):
            shutil.rmtree(directory, ignore_errors=True)


def _fits(directory: Path) -> bool:
    return len(bytes(directory / _NAME)) <= _LIMIT
