"""Reading and writing small files in a directory that another, less privileged user owns.

Root writes into the server user's directory. A link planted there must lead neither a read nor a write elsewhere: reads
do not follow links, and writes go to a fresh file that replaces the old name. Refuses to know what the files mean.
"""

import os
import tempfile
from pathlib import Path

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def read(path: Path) -> str:
    """The text of a regular file. Raises OSError, for a symbolic link too."""
    with os.fdopen(os.open(path, os.O_RDONLY | _NO_FOLLOW), encoding="utf-8", errors="replace") as file:
        return file.read()


def replace(path: Path, text: str, mode: int = 0o644) -> None:
    """Put ``text`` at ``path`` durably and at once: a reader sees the old file or the new one. Raises OSError."""
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
    """Make names that were created in ``path`` survive a power failure. Windows has no such call: nothing then."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tail(path: Path, start: int = 0, size: int = 8192) -> str:
    """The last ``size`` bytes behind position ``start`` of a file as text, "" if it cannot be read."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | _NO_FOLLOW), "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(start if start <= end else 0, end - size))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
