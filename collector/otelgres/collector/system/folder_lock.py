"""One owner at a time: a lock on a file in a folder, held by the process that works there.

The operating system drops the lock with the process, kill -9 included. Refuses to know what is owned.
"""

import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # far behind the text: on Windows nobody else can read a locked byte
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_held: set[int] = set()


class InUse(Exception):  # noqa: N818 (named for what the person is told)
    """Another process is the owner; ``owner`` is its process id as text, or "unknown"."""

    def __init__(self, folder: Path, owner: str) -> None:
        super().__init__(f"{folder} is in use by process {owner}")
        self.folder = folder
        self.owner = owner


class FolderLock:
    """The right to work in one folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    @property
    def held(self) -> bool:
        """Whether this process has it. A fork of it has not."""
        return self._descriptor in _held

    def acquire(self) -> None:
        """Take the lock and write our pid beside it. Raises InUse naming the owner, and OSError."""
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
        """Let the next owner in. The file stays: removing it would let two processes lock two different files."""
        if self.held:
            _held.discard(self._descriptor)
            os.close(self._descriptor)
        self._descriptor = -1


def _close_in_fork() -> None:
    # A forked child shares the lock: it would keep it from the next owner after its parent was killed.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_close_in_fork)
