"""A lock on a file in a folder, held by the process that owns the folder.

The operating system releases the lock when the process ends, even after kill -9.
"""

import errno
import os
from pathlib import Path

from otelgres.exporters.spool.lock import close_locked, is_locked, open_locked, open_regular


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
        return is_locked(self._descriptor)

    def acquire(self) -> None:
        """Take the lock and write this process's id into the file. Raises InUse with the owner, or OSError.

        Only the file's owner can open it: whoever can read a file can lock it.
        """
        descriptor = open_locked(self._path, os.O_RDWR | os.O_CREAT)
        if descriptor is None:
            raise InUse(self._path.parent, self._owner())
        if os.fstat(descriptor).st_nlink > 1:  # it may be another file, to which the folder's owner gave this name
            close_locked(descriptor)
            raise OSError(errno.EMLINK, "the file has another name, too", str(self._path))
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock. The file stays: if it were removed, two processes could lock two different files."""
        close_locked(self._descriptor)
        self._descriptor = -1

    def _owner(self) -> str:
        try:
            descriptor = open_regular(self._path, os.O_RDONLY)
        except OSError:
            return "unknown"
        with os.fdopen(descriptor, "rb") as file:
            return file.read(20).decode("ascii", "replace").strip() or "unknown"
