"""Reads and writes files with secrets, which only their owner may be able to read.

Modes are not checked on Windows, nor for files provided by a container runtime (``/run/secrets``) or systemd
(``$CREDENTIALS_DIRECTORY``), which choose the mode themselves.
"""

import os
import stat
import sys
from pathlib import Path

from otelgres.collector.system.folder import Folder


class InsecureFileMode(PermissionError):  # noqa: N818 (named for what the operator is told)
    """Other users can read or change the file; the message says how to correct that."""


def read_private(path: Path) -> str:
    """The text of a file that only its owner can read. Raises InsecureFileMode, OSError or UnicodeDecodeError."""
    with path.open("rb") as file:
        # The status of the open file, not of the path, which could be replaced in between.
        status = os.fstat(file.fileno())
        if sys.platform != "win32" and not _handed_in(path):
            if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise InsecureFileMode(
                    f"{path} can be read by other users (mode {stat.S_IMODE(status.st_mode):04o}): chmod 600 {path}"
                )
            if status.st_uid not in (0, os.geteuid()):
                raise InsecureFileMode(
                    f"{path} belongs to another user, who could change it: chown {os.geteuid()} {path}"
                )
        return file.read().decode("utf-8")


def _handed_in(path: Path) -> bool:
    folders = ["/run/secrets", os.environ.get("CREDENTIALS_DIRECTORY")]
    # Resolved, so that a link to such a file is accepted, and a path that leaves the folder by `..` is not.
    return any(folder and path.resolve().is_relative_to(folder) for folder in folders)


def write_private(path: Path, text: str) -> None:
    """Replaces the file atomically, with mode 0600. Raises OSError."""
    with Folder(path.parent, links=True) as folder:
        folder.write(path.name, text, 0o600)
