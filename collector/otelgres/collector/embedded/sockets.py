"""Chooses the directory of the server's Unix socket: only the server's user and root have access; the path is short."""

import contextlib
import fnmatch
import stat
import tempfile
from pathlib import Path

from otelgres.collector.embedded.errors import EmbeddedPostgresError
from otelgres.collector.embedded.os_user import ServerUser
from otelgres.collector.system.folder import Folder

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
    for base in _bases(user):
        if base.is_dir() and _fits(base / f"{_PREFIX}12345678"):
            directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
            with Folder(directory) as folder:
                user.give(folder)
            return directory
    raise EmbeddedPostgresError(f"{pgdata} is too long a path for a Unix socket: use a shorter data directory.")


def remove(directory: Path, user: ServerUser) -> None:
    """Remove a directory that ``choose`` created; does nothing for any other directory or a link.

    The server's user can write its path where we read it, so only those are removed that ``choose`` could have made,
    and only sockets and their lock files in them.
    """
    if not directory.name.startswith(_PREFIX) or directory.parent not in _bases(user):
        return
    with contextlib.suppress(OSError), Folder(directory.parent, links=True) as base:
        with base.folder(directory.name) as folder:
            found = folder.status()
            if found.st_uid != user.uid or stat.S_IMODE(found.st_mode) != 0o700:
                return
            for name in fnmatch.filter(folder.names(), ".s.PGSQL.*"):
                folder.remove(name)
        base.remove_folder(directory.name)


def _bases(user: ServerUser) -> list[Path]:
    # The server's user may not have access to our temporary directory.
    ours = [] if user.switch else [Path(tempfile.gettempdir())]
    return [*ours, Path("/tmp"), Path("/var/tmp")]  # noqa: S108 (only bases for mkdtemp)


def _fits(directory: Path) -> bool:
    return len(bytes(directory / _NAME)) <= _LIMIT
