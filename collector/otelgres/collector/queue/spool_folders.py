"""A spool folder for each receiver of one database, and what receivers that are gone have left in theirs.

Receivers on one machine share a parent folder; each locks a numbered folder in it. Whoever starts takes over the files
of folders that nobody holds, so that nothing waits for a receiver that never comes back.
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
        """Lets the next receiver have it, with what is left in it."""
        self.ownership.release()


def take_folder(parent: Path) -> SpoolFolder:
    """The first free folder below ``parent``, with the files of all other free ones moved into it. Raises OSError."""
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    mine: SpoolFolder | None = None
    for number in range(_MOST):
        path = parent / str(number)
        if mine is not None and not path.is_dir():
            continue
        folder = _try(path)
        if folder is None:
            continue
        if mine is None:
            mine = folder
        else:
            _move(folder.path, mine.path)
            folder.release()
    if mine is None:
        raise OSError(f"all {_MOST} spool folders in {parent} are taken: are that many receivers running?")
    return mine


def _try(path: Path) -> SpoolFolder | None:
    path.mkdir(exist_ok=True, mode=0o700)
    ownership = FolderLock(path / "owner.lock")
    try:
        ownership.acquire()
    except InUse:
        return None
    return SpoolFolder(path, ownership)


def _move(source: Path, target: Path) -> None:
    # No two files have the same name, unless they have the same content, and names sort by age.
    for path in source.glob("*.spool"):
        path.rename(target / path.name)
    quarantined = list((source / QUARANTINE).glob("*"))
    if quarantined:
        (target / QUARANTINE).mkdir(exist_ok=True, mode=0o700)
    for path in quarantined:
        path.replace(target / QUARANTINE / path.name)
