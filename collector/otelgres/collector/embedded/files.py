"""Reads and writes small files in a directory owned by another, less privileged user.

Root writes into the server user's directory, where a planted symbolic link must not redirect it: reads do not follow
links, and writes go to a new file that replaces the old one.
"""

import os
import tempfile
from pathlib import Path

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def read(path: Path) -> str:
    """The text of a regular file. Raises OSError, also for a symbolic link."""
    with os.fdopen(os.open(path, os.O_RDONLY | _NO_FOLLOW), encoding="utf-8", errors="replace") as file:
        return file.read()


def replace(path: Path, text: str, mode: int = 0o644) -> None:
    """Write ``text`` to ``path``, durably and atomically. Raises OSError."""
    descriptor, fresh = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(fresh).chmod(mode)
        Path(fresh).replace(path)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """fsync the directory ``path``, so that new names survive a power failure. Does nothing on Windows."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tail(path: Path, start: int = 0, size: int = 8192) -> str:
    """The last ``size`` bytes after position ``start`` of a file as text, "" if it cannot be read."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | _NO_FOLLOW), "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(start if start <= end else 0, end - size))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
