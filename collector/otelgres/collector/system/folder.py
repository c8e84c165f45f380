"""An open folder that may belong to another, less privileged user.

Root works in folders of other users, who may put a symbolic link in the place of any entry at any moment. So entries
are reached by the folder's descriptor and never by its path, no link is followed, and modes are set by descriptors. On
Windows, which has no descriptors of folders, paths are used.
"""

import errno
import os
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from otelgres.exporters.spool.lock import open_regular

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_KINDS: Final = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISREG, "a file"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
)


class Folder:
    """A folder by its descriptor; a context manager that closes it. ``path`` is only for messages.

    ``parent`` is the folder in which ``path`` is an entry, to be opened without its path. A link is not followed,
    unless ``links``, for a folder that the user names. All methods raise OSError.
    """

    def __init__(self, path: Path, parent: "Folder | None" = None, *, links: bool = False) -> None:
        self.path = path
        self._descriptor: int | None = None
        if sys.platform != "win32":
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if links else os.O_NOFOLLOW)
            name, at = (path, None) if parent is None else parent.at(path.name)
            self._descriptor = os.open(name, flags, dir_fd=at)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the descriptor."""
        if self._descriptor is not None:
            os.close(self._descriptor)

    def folder(self, name: str) -> "Folder":
        """Opens a subfolder."""
        return Folder(self.path / name, self)

    def at(self, name: str) -> tuple[str | Path, int | None]:
        """``path`` and ``dir_fd`` of an entry, for the functions of ``os``."""
        return (self.path / name, None) if self._descriptor is None else (name, self._descriptor)

    def names(self) -> list[str]:
        """The names of the entries."""
        return os.listdir(self.path if self._descriptor is None else self._descriptor)  # noqa: PTH208 (a descriptor)

    def status(self) -> os.stat_result:
        """The status of the folder itself."""
        return os.stat(self.path if self._descriptor is None else self._descriptor)  # noqa: PTH116 (a descriptor)

    def change(self, *, mode: int | None = None, owner: tuple[int, int] | None = None) -> None:
        """Sets the folder's own mode, or its user and group. Does nothing on Windows."""
        if self._descriptor is not None and sys.platform != "win32":
            if owner is not None:
                os.fchown(self._descriptor, *owner)
            if mode is not None:
                os.fchmod(self._descriptor, mode)

    def kind(self, name: str) -> str | None:
        """What the entry is, None if there is none."""
        path, folder = self.at(name)
        try:
            mode = os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return None
        return next((kind for test, kind in _KINDS if test(mode)), "a device")

    def open(self, name: str) -> int:
        """A descriptor of a regular file, for reading."""
        path, folder = self.at(name)
        return open_regular(path, os.O_RDONLY, folder)

    def create(self, name: str, mode: int = 0o600) -> int:
        """A descriptor of a new file, for writing; the umask applies."""
        path, folder = self.at(name)
        return os.open(path, _NEW, mode, dir_fd=folder)

    def read(self, name: str) -> str:
        """The text of a regular file."""
        with os.fdopen(self.open(name), encoding="utf-8", errors="replace") as file:
            return file.read()

    def tail(self, name: str, start: int = 0, size: int = 8192) -> str:
        """The last ``size`` bytes after position ``start`` of a regular file as text, "" if it cannot be read."""
        try:
            with os.fdopen(self.open(name), "rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(start if start <= end else 0, end - size))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def size(self, name: str) -> int:
        """The size of a file in bytes; 0 if there is none."""
        path, folder = self.at(name)
        try:
            return os.stat(path, dir_fd=folder, follow_symlinks=False).st_size
        except FileNotFoundError:
            return 0

    def write(self, name: str, text: str, mode: int) -> None:
        """Replaces a file by one with this text and mode, durably and atomically."""
        temporary = f".{name}-{secrets.token_hex(8)}"
        descriptor = self.create(temporary)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                if sys.platform != "win32":
                    os.fchmod(descriptor, mode)
                os.fsync(descriptor)
            self.rename(temporary, name)
        except BaseException:
            self.remove(temporary)
            raise
        self.sync()

    def rename(self, old: str, new: str) -> None:
        """Renames an entry; another file, or empty folder, with the new name is replaced."""
        (source, folder), (target, _) = self.at(old), self.at(new)
        os.replace(source, target, src_dir_fd=folder, dst_dir_fd=folder)

    def make(self, name: str, mode: int = 0o777) -> None:
        """Creates a subfolder; the umask applies."""
        path, folder = self.at(name)
        os.mkdir(path, mode, dir_fd=folder)

    def remove(self, name: str) -> None:
        """Removes a file if it exists."""
        path, folder = self.at(name)
        with suppress(FileNotFoundError):
            os.unlink(path, dir_fd=folder)

    def remove_folder(self, name: str) -> None:
        """Removes a subfolder if it is empty; does nothing otherwise."""
        path, folder = self.at(name)
        with suppress(OSError):
            os.rmdir(path, dir_fd=folder)

    def sync(self) -> None:
        """Makes new names survive a power failure. Does nothing on Windows."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)


def make_folder(path: Path, mode: int) -> None:
    """Creates a folder with this mode, whatever the umask is, and its parents; one that exists is left as it is.

    Raises OSError.
    """
    if path.is_dir():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(0o700)
    with Folder(path) as folder:
        if sys.platform != "win32" and folder.status().st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "another folder has taken its place", str(path))
        folder.change(mode=mode)
