"""Chooses the operating-system user that runs the server. PostgreSQL refuses root, so root needs an unprivileged user.

Users are never created, and only directories created here change their owner.
"""

import errno
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from otelgres.collector.embedded.errors import EmbeddedPostgresError
from otelgres.collector.embedded.run_as import command as run_as
from otelgres.collector.system.folder import Folder

SETTING = "OTELGRES_PG_USER"
# "nobody" is last: other daemons that run as this user could access our files.
_CANDIDATES = ("otelgres", "postgres", "nobody")


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The user that runs the server; ``switch``: another one than the current user."""

    name: str
    uid: int
    gid: int
    switch: bool

    def command(self, program: Sequence[str]) -> list[str]:
        """The command line for ``subprocess`` that runs ``program`` as this user, without the current user's groups."""
        return run_as(self.uid, self.gid, program) if self.switch else list(program)

    def working_directory(self, directory: Path) -> str:
        """The path by which a child of this user, started with the working directory ``directory``, can access it.

        Another user may not be allowed to enter a parent directory (root's home). On Linux the child can use
        /proc/self/cwd, because the working directory was set before the user was changed.
        """
        return "/proc/self/cwd" if self.switch and sys.platform == "linux" else str(directory)

    def give(self, directory: Folder) -> None:
        """Make this user the owner of a newly created ``directory``, which is empty and ours. Raises OSError."""
        if self.switch and sys.platform != "win32":
            if directory.status().st_uid != os.geteuid() or directory.names():
                raise PermissionError(errno.EPERM, "another folder has taken its place", str(directory.path))
            directory.change(owner=(self.uid, self.gid))


def server_user(pgdata: Path) -> ServerUser:
    """The user to run the server on ``pgdata``: its owner if it exists, else (for root) the first candidate found.

    Raises EmbeddedPostgresError if there is no such user, or if the directory belongs to another user; OSError if it is
    no directory, also for a link.
    """
    if sys.platform == "win32":
        return ServerUser("", 0, 0, switch=False)
    import pwd

    us = os.geteuid()
    owner = _owner(pgdata)
    if us != 0:
        if owner not in (None, us):
            raise EmbeddedPostgresError(
                f"{pgdata} belongs to user id {owner}, you are {us}: run as that user, or use another data directory."
            )
        return ServerUser("", us, os.getegid(), switch=False)
    if owner:
        try:
            entry = pwd.getpwuid(owner)
        except KeyError:
            raise EmbeddedPostgresError(
                f"{pgdata} belongs to user id {owner}, which does not exist: chown -R it to an unprivileged user."
            ) from None
        return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)
    found = _unprivileged()
    if owner == 0:
        raise EmbeddedPostgresError(
            f"{pgdata} belongs to root, but PostgreSQL does not run as root: run 'chown -R {found.name} {pgdata}'."
        )
    return found


def _owner(pgdata: Path) -> int | None:
    try:
        with Folder(pgdata) as folder:
            return folder.status().st_uid
    except FileNotFoundError:
        return None
    except PermissionError:
        return pgdata.lstat().st_uid


def _unprivileged() -> ServerUser:
    import pwd

    asked = os.environ.get(SETTING)
    for name in (asked,) if asked else _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)
    raise EmbeddedPostgresError(
        f"PostgreSQL does not run as root, and there is no unprivileged user {asked or ', '.join(_CANDIDATES)}: "
        f"name an existing one in {SETTING}."
    )
