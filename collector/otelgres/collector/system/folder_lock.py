"""A lock on a file in a folder, held by the process that owns the folder.

The operating system releases the lock when the process ends, even after kill -9.
"""

import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # far after the text: a locked byte cannot be read on Windows
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_held: set[int] = set()


class InUse(Exception):  # noqa: N818 (named for what the person is told)
    """Another process owns the folder; ``owner`` is its process id as text, or "unknown"."""

    def __init__(self, folder: Path, owner: str) -> None:
        super().__init__(f"{folder} is in use by process {owner}")
        self.folder = folder
        self.owner = owner


class FolderLock:
    """The lock of one folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    @property
    def held(self) -> bool:
        """Whether this process holds the lock; a fork of it does not."""
        return self._descriptor in _held

    def acquire(self) -> None:
        """Take the lock and write this process's id into the file. Raises InUse with the owner, or OSError."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(descriptor)
        except OSError:
            owner = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise InUse(self._path.parent, owner) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        _held.add(descriptor)

    def release(self) -> None:
        """Release the lock. The file stays: if it were removed, two processes could lock two different files."""
        if self.held:
            _held.discard(self._descriptor)
            os.close(self._descriptor)
        self._descriptor = -1


def _close_in_fork() -> None:
    # A forked child shares the lock and would keep it after its parent was killed.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_close_in_fork)
