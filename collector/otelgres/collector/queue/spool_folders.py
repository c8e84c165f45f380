"""The spool folder of each receiver of a database.

Receivers on one machine share a parent folder; each locks a numbered folder in it. A starting receiver takes over the
files in unlocked folders, so that batches of a receiver that does not return are replayed.
"""

import errno
import logging
import os
import stat
import sys
from pathlib import Path
from typing import Final, NamedTuple

from otelgres.collector.system.folder_lock import FolderLock, InUse
from otelgres.exporters.spool.bound import QUARANTINE

log = logging.getLogger(__name__)

_MOST: Final = 256


class SpoolFolder(NamedTuple):
    """A locked folder."""

    path: Path
    ownership: FolderLock

    def release(self) -> None:
        """Unlocks the folder, with its files, for the next receiver."""
        self.ownership.release()


def take_folder(parent: Path) -> SpoolFolder:
    """Locks the first free folder in ``parent`` and moves the files of other free ones into it. Raises OSError.

    What cannot be used or moved, for example another user's, is left and logged.
    """
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _check_parent(parent)
    own: SpoolFolder | None = None
    failure: OSError | None = None
    for number in range(_MOST):
        path = parent / str(number)
        try:
            folder = _try(path) if own is None or path.is_dir() else None
        except OSError as error:
            failure = failure or error
            if os.path.lexists(path):
                log.warning("the spool folder %s cannot be used: %s", path, error.strerror or error)
            continue
        if folder is None:
            continue
        if own is None:
            own = folder
        else:
            _move(folder.path, own.path)
            folder.release()
    if own is None:
        if failure is not None:
            raise failure
        raise OSError(f"all {_MOST} spool folders in {parent} are locked: stop some of the receivers")
    return own


def _check_parent(parent: Path) -> None:
    """Root follows no links that another user may put into the place of its files. Raises OSError."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return
    found = parent.stat()
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
    if found.st_uid != 0 or others:
        raise OSError(errno.EPERM, "another user can change this folder of root's receiver", str(parent))


def _try(path: Path) -> SpoolFolder | None:
    path.mkdir(exist_ok=True, mode=0o700)
    if sys.platform != "win32":
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise OSError(errno.EPERM, "it is a link, or belongs to another user", str(path))
    ownership = FolderLock(path / "owner.lock")
    try:
        ownership.acquire()
    except InUse:
        return None
    return SpoolFolder(path, ownership)


def _move(source: Path, target: Path) -> None:
    try:
        # Files have the same name only if they have the same content, and names sort by age.
        _move_files(source, target, ".spool")
        if (source / QUARANTINE).is_dir():
            _move_files(source / QUARANTINE, target / QUARANTINE, "")
    except OSError as error:
        log.warning("the files in the spool folder %s cannot be taken over: %s", source, error)


def _move_files(source: Path, target: Path, suffix: str) -> None:
    for path in list(source.iterdir()):
        if path.name.endswith(suffix) and path.is_file() and not path.is_symlink():
            target.mkdir(exist_ok=True, mode=0o700)
            path.replace(target / path.name)
