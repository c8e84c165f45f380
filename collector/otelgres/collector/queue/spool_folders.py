"""The spool folder of each receiver of a database.

Receivers on one machine share a parent folder; each locks a numbered folder in it. A starting receiver takes over the
files in unlocked folders, so that batches of a receiver that does not return are replayed.
"""

from pathlib import Path
from typing import Final, NamedTuple

from otelgres.collector.system.folder_lock import FolderLock, InUse
from otelgres.exporters.spool.bound import QUARANTINE

_MOST: Final = 256


class SpoolFolder(NamedTuple):
    """A locked folder."""

    path: Path
    ownership: FolderLock

    def release(self) -> None:
        """Unlocks the folder, with its files, for the next receiver."""
        self.ownership.release()


def take_folder(parent: Path) -> SpoolFolder:
    """Locks the first free folder in ``parent`` and moves the files of other free ones into it. Raises OSError."""
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    own: SpoolFolder | None = None
    for number in range(_MOST):
        path = parent / str(number)
        if own is not None and not path.is_dir():
            continue
        folder = _try(path)
        if folder is None:
            continue
        if own is None:
            own = folder
        else:
            _move(folder.path, own.path)
            folder.release()
    if own is None:
        raise OSError(f"all {_MOST} spool folders in {parent} are locked: stop some of the receivers")
    return own


def _try(path: Path) -> SpoolFolder | None:
    path.mkdir(exist_ok=True, mode=0o700)
    ownership = FolderLock(path / "owner.lock")
    try:
        ownership.acquire()
    except InUse:
        return None
    return SpoolFolder(path, ownership)


def _move(source: Path, target: Path) -> None:
    # Files have the same name only if they have the same content, and names sort by age.
    for path in source.glob("*.spool"):
        path.rename(target / path.name)
    quarantined = list((source / QUARANTINE).glob("*"))
    if quarantined:
        (target / QUARANTINE).mkdir(exist_ok=True, mode=0o700)
    for path in quarantined:
        path.replace(target / QUARANTINE / path.name)
