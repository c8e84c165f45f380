"""A spool folder for each receiver of one database, and the heritage of those that are gone.

Receivers on one machine share a parent folder; each locks a numbered slot in it. Whoever starts takes over what lies in
slots that nobody holds, so that nothing waits for a receiver that never comes back. Refuses to know what is in a spool
beyond the names of its files.
"""

from pathlib import Path
from typing import Final, NamedTuple

from otelgres.collector.system.folder_lock import FolderLock, InUse

_MOST: Final = 256


class Slot(NamedTuple):
    """A locked folder."""

    folder: Path
    ownership: FolderLock

    def release(self) -> None:
        """Lets the next receiver have it, with what is left in it."""
        self.ownership.release()


def take_slot(parent: Path) -> Slot:
    """The first free slot below ``parent``, with the segments of all other free slots moved into it. Raises OSError."""
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    mine: Slot | None = None
    for number in range(_MOST):
        folder = parent / str(number)
        if mine is not None and not folder.is_dir():
            continue
        slot = _try(folder)
        if slot is None:
            continue
        if mine is None:
            mine = slot
        else:
            _move(slot.folder, mine.folder)
            slot.release()
    if mine is None:
        raise OSError(f"all {_MOST} spool slots in {parent} are taken: are that many receivers running?")
    return mine


def _try(folder: Path) -> Slot | None:
    folder.mkdir(exist_ok=True, mode=0o700)
    ownership = FolderLock(folder / "owner.lock")
    try:
        ownership.acquire()
    except InUse:
        return None
    return Slot(folder, ownership)


def _move(source: Path, target: Path) -> None:
    taken = [int(stem) for path in target.iterdir() if (stem := path.name.partition(".")[0]).isdigit()]
    number = max(taken, default=0)
    for path in sorted(source.glob("*.sqlite")):
        if not path.stem.isdigit():
            continue
        number += 1
        log, moved = source / f"{path.name}-wal", target / f"{number:06d}.sqlite"
        # A database without its write-ahead log would miss batches. So the log is in both places until the database has
        # moved: killed in between, the next receiver finds both parts where they were, and a log alone is a leftover.
        if log.exists():
            _link(log, target / f"{moved.name}-wal")
        path.rename(moved)
        log.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        # A file system without links: then the log goes first, and the moment between the two is not safe.
        source.rename(target)
