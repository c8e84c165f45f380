"""Files that hold secrets: read only when nobody else can read them, written so that nobody else ever could.

Refuses to know what is in them. On Windows, where modes say nothing, only the reading and writing is left. What a
container runtime (``/run/secrets``) or systemd (``$CREDENTIALS_DIRECTORY``) hands in has the mode they chose, and is
theirs to protect.
"""

import os
import stat
import sys
import tempfile
from pathlib import Path


class InsecureFileMode(PermissionError):  # noqa: N818 (named for what the operator is told)
    """Others can read the file; the message says how to change that."""


def read_private(path: Path) -> str:
    """The text of a file that only its owner can read. Raises InsecureFileMode, OSError or UnicodeDecodeError."""
    with path.open("rb") as file:
        # Of the open file, not of the path: nobody can put another one in its place in between.
        status = os.fstat(file.fileno())
        if sys.platform != "win32" and not _handed_in(path):
            if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise InsecureFileMode(
                    f"{path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o}): chmod 600 {path}"
                )
            if status.st_uid not in (0, os.geteuid()):
                raise InsecureFileMode(
                    f"{path} belongs to another user, who could change it: chown {os.geteuid()} {path}"
                )
        return file.read().decode("utf-8")


def _handed_in(path: Path) -> bool:
    folders = ["/run/secrets", os.environ.get("CREDENTIALS_DIRECTORY")]
    # Resolved: a link from elsewhere is as good as the file, and a way out by `..` is not.
    return any(folder and path.resolve().is_relative_to(folder) for folder in folders)


def write_private(path: Path, text: str) -> None:
    """Replaces the file as a whole, mode 0600; readers see the old text or the new. Raises OSError."""
    # mkstemp makes the file 0600 from its first moment.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 (a descriptor)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
