"""Writes files into a folder and its subfolders: all of them or none.

Everything is checked before the first change. New contents go to temporary names, which replace the targets when all
of them are complete. Below the folder no symbolic link is followed, also not one that appears in between.
"""

import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from otelgres.collector.system.folder import Folder


class CannotWrite(Exception):  # noqa: N818 (named for what the user is told)
    """Nothing was written; the message says what prevents it."""


class _Source(NamedTuple):
    contents: bytes
    executable: bool


class _Tree:
    """The open folders below ``root``; ``opened`` closes them."""

    def __init__(self, root: Path, opened: ExitStack) -> None:
        self._opened = opened
        # The folder that the user names may be a link, those below may not.
        self._folders = {"": opened.enter_context(Folder(root, links=True))}

    def folder_of(self, name: str, made: ExitStack | None = None) -> Folder | None:
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
                self._folders[path] = self._opened.enter_context(folder.folder(part))
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
        return _read(folder, file, limit)

    @staticmethod
    def _require_access(folder: Folder) -> None:
        path, descriptor = folder.at(".")
        if not os.access(path, os.W_OK | os.X_OK, dir_fd=descriptor):
            raise CannotWrite(f"{folder.path} is not writable")


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


def _read(folder: Folder, name: str, limit: int) -> _Source:
    with os.fdopen(folder.open(name), "rb") as file:
        return _Source(file.read(limit), bool(os.fstat(file.fileno()).st_mode & stat.S_IXUSR))


def _write_new(folder: Folder, name: str, source: _Source) -> None:
    with os.fdopen(folder.create(name, 0o777 if source.executable else 0o666), "wb") as file:
        file.write(source.contents)


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
    staged: list[tuple[Folder, str, str]] = []
    for name, source in needed.items():
        folder = tree.folder_of(name, made)
        assert folder is not None
        file = name.rpartition("/")[2]
        temporary = f".{file}.{secrets.token_hex(4)}"
        made.callback(folder.remove, temporary)
        _write_new(folder, temporary, source)
        staged.append((folder, temporary, file))
    for folder, temporary, file in staged:
        folder.rename(temporary, file)
