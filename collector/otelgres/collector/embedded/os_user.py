"""Which operating-system user the server runs as. PostgreSQL refuses root, so root needs somebody less privileged.

No user is ever created, and nothing that we did not create ourselves is given away. Refuses to know PostgreSQL.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from otelgres.collector.embedded.errors import EmbeddedPostgresError
from otelgres.collector.embedded.run_as import command as run_as

SETTING = "OTELGRES_PG_USER"
# "nobody" is last: other daemons may share that account, and would then share our files.
_CANDIDATES = ("otelgres", "postgres", "nobody")


@dataclass(frozen=True, slots=True)
class ServerUser:
    """Somebody else than ourselves (``switch``), or ourselves."""

    name: str
    uid: int
    gid: int
    switch: bool

    def command(self, program: Sequence[str]) -> list[str]:
        """The command line for ``subprocess`` that runs ``program`` as this user, without any of our groups."""
        return run_as(self.uid, self.gid, program) if self.switch else list(program)

    def working_directory(self, directory: Path) -> str:
        """How a child that is this user, and was started with the working directory ``directory``, names it.

        The plain path, if it is us. Another user may be locked out of a parent directory (root's home); Linux lets him
        in through his own working directory, which was entered before he became himself.
        """
        return "/proc/self/cwd" if self.switch and sys.platform == "linux" else str(directory)

    def give(self, directory: Path) -> None:
        """Make this user the owner of an empty ``directory`` that we have just created. Raises OSError."""
        if self.switch and sys.platform != "win32":
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                os.fchown(descriptor, self.uid, self.gid)
            finally:
                os.close(descriptor)


def server_user(pgdata: Path) -> ServerUser:
    """Who runs the server on ``pgdata``: its owner if it exists, else (for root) the first known unprivileged user.

    Raises EmbeddedPostgresError when there is nobody to run it, or when the directory is somebody else's.
    """
    if sys.platform == "win32":
        return ServerUser("", 0, 0, switch=False)
    import pwd

    us = os.geteuid()
    owner = pgdata.stat().st_uid if pgdata.exists() else None
    if us != 0:
        if owner not in (None, us):
            raise EmbeddedPostgresError(
                f"{pgdata} belongs to user id {owner}, you are {us}: run as that user, or give another data directory."
            )
        return ServerUser("", us, os.getegid(), switch=False)
    if owner:
        try:
            entry = pwd.getpwuid(owner)
        except KeyError:
            raise EmbeddedPostgresError(
                f"{pgdata} belongs to user id {owner}, which does not exist here: chown -R it to an unprivileged user."
            ) from None
        return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)
    found = _unprivileged()
    if owner == 0:
        raise EmbeddedPostgresError(
            f"{pgdata} belongs to root, whom PostgreSQL refuses: give it away with 'chown -R {found.name} {pgdata}'."
        )
    return found


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
