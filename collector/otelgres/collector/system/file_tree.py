"""Writes files into a folder and its subfolders: all of them or none.

Everything is checked before the first change. New contents go to temporary names, which replace the targets when all
of them are complete. Below the folder no symbolic link is followed, also not one that appears in between.
"""

import os
import secrets
import stat
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, NamedTuple

_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
# Opening a FIFO must not wait for a writer.
_READ: Final = os.O_RDONLY | _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | getattr(os, "O_BINARY", 0)
_KINDS: Final = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISREG, "a file"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
)


class CannotWrite(Exception):  # noqa: N818 (named for what the user is told)
    """Nothing was written; the message says what prevents it."""


class _Source(NamedTuple):
    contents: bytes
    executable: bool


class _Folder:
    """A folder by its descriptor, or by its path on Windows, which has no descriptors of folders."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self._descriptor = descriptor

    def at(self, name: str) -> tuple[str | Path, int | None]:
        """``path`` and ``dir_fd`` of an entry, for the functions of ``os``."""
        return (self.path / name, None) if self._descriptor is None else (name, self._descriptor)

    def kind(self, name: str) -> str | None:
        """What the entry is, None if there is none. Raises OSError."""
        path, folder = self.at(name)
        try:
            mode = os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return None
        return next((kind for test, kind in _KINDS if test(mode)), "a device")

    def read(self, name: str, limit: int) -> _Source:
        """At most ``limit`` bytes. Raises OSError."""
        path, folder = self.at(name)
        with os.fdopen(os.open(path, _READ, dir_fd=folder), "rb") as file:
            return _Source(file.read(limit), bool(os.fstat(file.fileno()).st_mode & stat.S_IXUSR))

    def write_new(self, name: str, source: _Source) -> None:
        """Creates a file; the process's umask applies. Raises OSError."""
        path, folder = self.at(name)
        with os.fdopen(os.open(path, _NEW, 0o777 if source.executable else 0o666, dir_fd=folder), "wb") as file:
            file.write(source.contents)

    def replace(self, temporary: str, name: str) -> None:
        """Renames. Raises OSError."""
        (old, folder), (new, _) = self.at(temporary), self.at(name)
        os.replace(old, new, src_dir_fd=folder, dst_dir_fd=folder)

    def make(self, name: str) -> None:
        """Creates a subfolder. Raises OSError."""
        path, folder = self.at(name)
        os.mkdir(path, dir_fd=folder)

    def remove(self, name: str) -> None:
        """Removes a file if it exists. Raises OSError."""
        path, folder = self.at(name)
        with suppress(FileNotFoundError):
            os.unlink(path, dir_fd=folder)

    def remove_folder(self, name: str) -> None:
        """Removes a subfolder if it is empty."""
        path, folder = self.at(name)
        with suppress(OSError):
            os.rmdir(path, dir_fd=folder)


class _Tree:
    """The open folders below ``root``; ``opened`` closes them."""

    def __init__(self, root: Path, opened: ExitStack) -> None:
        self._opened = opened
        self._folders = {"": self._open(root, root, None)}

    def folder_of(self, name: str, made: ExitStack | None = None) -> _Folder | None:
        """The folder of file ``name``. With ``made`` it is created if necessary, and ``made`` removes it again.

        Raises CannotWrite for something else in its place, and OSError.
        """
        path = ""
        folder = self._folders[path]
        for part in name.split("/")[:-1]:
            path = f"{path}{part}/"
            if path not in self._folders:
                kind = folder.kind(part)
                if kind is None:
                    if made is None:
                        self._require_access(folder)
                        return None
                    folder.make(part)
                    made.callback(folder.remove_folder, part)
                elif kind != "a folder":
                    raise CannotWrite(f"{folder.path / part} is {kind}, not a folder")
                self._folders[path] = self._open(folder.path / part, *folder.at(part))
            folder = self._folders[path]
        return folder

    def existing(self, name: str, limit: int) -> _Source | None:
        """At most ``limit`` bytes of the file; None if it does not exist.

        Raises CannotWrite for something else in its place, and OSError.
        """
        folder = self.folder_of(name)
        if folder is None:
            return None
        self._require_access(folder)
        file = name.rpartition("/")[2]
        kind = folder.kind(file)
        if kind is None:
            return None
        if kind != "a file":
            raise CannotWrite(f"{folder.path / file} is {kind}, not a file")
        return folder.read(file, limit)

    @staticmethod
    def _require_access(folder: _Folder) -> None:
        path, descriptor = folder.at(".")
        if not os.access(path, os.W_OK | os.X_OK, dir_fd=descriptor):
            raise CannotWrite(f"{folder.path} is not writable")

    def _open(self, whole: Path, path: str | Path, folder: int | None) -> _Folder:
        if sys.platform == "win32":
            return _Folder(whole, None)
        # The folder that the user names may be a link, those below may not.
        no_follow = 0 if folder is None else os.O_NOFOLLOW
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | no_follow, dir_fd=folder)
        self._opened.callback(os.close, descriptor)
        return _Folder(whole, descriptor)


def write_files(root: Path, sources: Mapping[str, Path], *, overwrite: bool) -> None:
    """Copies the files ``sources``, by their names below ``root`` (with slashes); ``root`` is created if necessary.

    Files that are equal already are left alone. Raises CannotWrite if a file has other contents and ``overwrite`` is
    false, if something else is in the place of a file or folder, or if the system refuses.
    """
    try:
        read = {
            name: _Source(source.read_bytes(), bool(source.stat().st_mode & stat.S_IXUSR))
            for name, source in sources.items()
        }
        with ExitStack() as opened, ExitStack() as made:
            _make(root, made)
            tree = _Tree(root, opened)
            needed = _check(tree, root, read, overwrite=overwrite)
            _write(tree, needed, made)
            made.pop_all()
    except OSError as error:
        place = f"{error.filename}: " if error.filename and error.filename != str(root) else ""
        raise CannotWrite(f"{root} cannot be written: {place}{error.strerror or error}") from error


def _make(root: Path, made: ExitStack) -> None:
    missing = [folder for folder in (root, *root.parents) if not folder.exists()]
    for folder in reversed(missing):
        if folder.is_symlink():
            raise CannotWrite(f"{folder} is a symbolic link to nothing")
        folder.mkdir()
        made.callback(_remove_folder, folder)


def _remove_folder(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _check(tree: _Tree, root: Path, read: Mapping[str, _Source], *, overwrite: bool) -> dict[str, _Source]:
    """The files that are not there yet as they should be. Raises CannotWrite for all obstacles together."""
    found: dict[str, _Source | None] = {}
    obstacles: dict[str, None] = {}
    for name, source in read.items():
        try:
            found[name] = tree.existing(name, len(source.contents) + 1)
        except CannotWrite as error:
            obstacles[str(error)] = None
    if obstacles:
        raise CannotWrite("; ".join(obstacles))
    different = [name for name, now in found.items() if now is not None and now.contents != read[name].contents]
    if different and not overwrite:
        raise CannotWrite(
            f"these files in {root} have other contents: {', '.join(different)}; choose another folder, or overwrite "
            "them with --force"
        )
    return {name: source for name, source in read.items() if found[name] != source}


def _write(tree: _Tree, needed: Mapping[str, _Source], made: ExitStack) -> None:
    staged: list[tuple[_Folder, str, str]] = []
    for name, source in needed.items():
        folder = tree.folder_of(name, made)
        assert folder is not None
        file = name.rpartition("/")[2]
        temporary = f".{file}.{secrets.token_hex(4)}"
        made.callback(folder.remove, temporary)
        folder.write_new(temporary, source)
        staged.append((folder, temporary, file))
    for folder, temporary, file in staged:
        folder.replace(temporary, file)
