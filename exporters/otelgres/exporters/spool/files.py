"""One spool file, locked by this process: appended to, read back, its records settled one by one, removed at the end.

A file that nobody has locked can be opened by anyone. What is appended is in the system's page cache; with ``sync`` it
is on the disk when ``append`` returns.
"""

import contextlib
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from otelgres.exporters.batch import Batch
from otelgres.exporters.spool.lock import close_locked, is_gone, open_locked
from otelgres.exporters.spool.reader import Contents, read_batch, read_contents
from otelgres.exporters.spool.records import (
    COUNT_OFFSET,
    HEADER_BYTES,
    SETTLED_OFFSET,
    Entry,
    count_field,
    encode,
    entry_at,
    header,
    new_key,
    settled_field,
)

# Start time (nanoseconds since 1970, so that names sort by age), process, key. A quarantined batch has only a key.
_NAME: Final = re.compile(r"(?:(?P<begun>\d{20})-\d+-)?(?P<key>[0-9a-f]{16})\.spool")
# A reader keeps a place in memory for each record.
_MOST_RECORDS: Final = 20_000


class SpoolFile:
    """Not safe to use from several threads. As a context manager it is closed, or removed if nothing is left in it."""

    def __init__(self, path: Path, descriptor: int, contents: Contents) -> None:
        """See :meth:`create` and :meth:`open`."""
        self.path = path
        self.size = os.fstat(descriptor).st_size
        self.lost = contents.lost
        """How many records could not be read."""
        self.damaged = contents.damaged
        """Whether anything in the file is not as it was written."""
        self.foreign = contents.key is None
        """With our kind of name and another's content."""
        self._key = contents.key or b""
        self._count = 0
        self._descriptor = descriptor
        self._pending = {entry.number: entry for entry in contents.entries if not entry.settled}
        self._keep = False
        self._writable = False

    @classmethod
    def create(cls, folder: Path, begun: int, *, sync: bool = False) -> Self:
        """A new file in ``folder``, which is made, private to its owner, where it is missing. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            key = new_key()
            path = folder / f"{begun:020}-{os.getpid()}-{key.hex()}.spool"
            descriptor = open_locked(path, create=True)
            if descriptor is not None:
                break
            # Another process claimed it, found it empty and removed it before we had the lock.
        file = cls(path, descriptor, Contents(key))
        file._writable = True
        try:
            file._write(0, header(key))
            file.size = HEADER_BYTES
            if sync:
                _sync(descriptor)
                sync_folder(folder)
        except OSError:
            file.remove()
            raise
        return file

    @classmethod
    def open(cls, path: Path) -> Self | None:
        """The file, to read and settle; None if another process has it, or it is gone. Raises OSError."""
        descriptor = open_locked(path)
        if descriptor is None:
            return None
        try:
            return cls(path, descriptor, read_contents(descriptor, _key_of(path)))
        except (OSError, MemoryError):
            close_locked(descriptor)
            raise

    @property
    def writable(self) -> bool:
        """Whether more can be appended."""
        return self._writable and self._count < _MOST_RECORDS and not is_gone(self._descriptor)

    def append(self, batches: Sequence[Batch], *, sync: bool = False) -> None:
        """Appends all of them, or none: raises OSError. After a failed ``sync`` the file is not writable any more."""
        now = time.time_ns()
        start, count = self.size, self._count
        records = []
        for batch in batches:
            records.append(encode(batch, count, now, self._key))
            count += 1
        data = b"".join(records)
        try:
            self._write(start, data)
            self._write(COUNT_OFFSET, count_field(self._key, count))
            if sync:
                self._sync()
        except OSError:
            # A part of it would take room that there may be none of, and would be sent again in vain.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, start)
                self._write(COUNT_OFFSET, count_field(self._key, self._count))
            raise
        for record in records:
            entry = entry_at(record, 0, self._key, start)
            assert entry is not None
            self._pending[entry.number] = entry
            start = entry.end
        self.size, self._count = start, count

    def pending(self) -> list[Entry]:
        """The records that are not settled, oldest first."""
        return list(self._pending.values())

    def read(self, entry: Entry) -> Batch | None:
        """The batch of a record; None, and counted as lost, where it has been damaged meanwhile. Raises OSError."""
        batch = read_batch(self._descriptor, entry)
        if batch is None and entry.number in self._pending:
            del self._pending[entry.number]
            self.lost += 1
            self.damaged = True
            self._writable = False
        return batch

    def settle(self, entry: Entry) -> None:
        """Marks a record as safe elsewhere, or refused, so that nobody sends it again. Never raises."""
        self._pending.pop(entry.number, None)
        with contextlib.suppress(OSError):  # then it is sent again one day, and recognised
            self._write(entry.offset + SETTLED_OFFSET, settled_field(entry.number, self._key))

    def keep(self) -> None:
        """The file stays, whatever is settled."""
        self._keep = True

    def close(self, *, sync: bool = False) -> None:
        """Lets go of it: anyone may open it now. With ``sync`` it is on the disk first, where that succeeds."""
        if sync:
            with contextlib.suppress(OSError):
                _sync(self._descriptor)
        close_locked(self._descriptor)

    def remove(self, to: Path | None = None) -> None:
        """Deletes the file, or moves it. Never raises."""
        # While it is locked, so that nobody claims it in between; Windows removes no file that is open.
        for _ in range(2):
            try:
                self.path.unlink() if to is None else self.path.replace(to)
            except OSError:
                close_locked(self._descriptor)
            else:
                break
        close_locked(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keep or self.foreign or self._pending:
            self.close()
        else:
            self.remove()

    def _write(self, at: int, data: bytes) -> None:
        os.lseek(self._descriptor, at, os.SEEK_SET)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def _sync(self) -> None:
        try:
            _sync(self._descriptor)
        except OSError:
            # The system may have dropped what it could not write, and say yes the next time.
            self._writable = False
            raise


def open_file(path: Path) -> SpoolFile | None:
    """The file, if nobody else has it. Never raises: what cannot be opened or read now is left for later."""
    try:
        return SpoolFile.open(path)
    except (OSError, MemoryError):
        return None


def spool_files(folder: Path) -> list[Path]:
    """The spool files in ``folder``, oldest first; none if it cannot be read."""
    return sorted(path for path, _ in listed(folder))


def begun_at(path: Path) -> int:
    """When the file was begun, in nanoseconds since 1970; 0 for a batch quarantined."""
    found = _NAME.fullmatch(path.name)
    return int(found["begun"] or 0) if found else 0


def listed(folder: Path) -> list[tuple[Path, int]]:
    """The spool files in ``folder`` and their sizes; none if it cannot be read."""
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    if entry.is_file(follow_symlinks=False):
                        found.append((Path(entry.path), entry.stat().st_size))
    return found


def sync_folder(folder: Path) -> None:
    """Makes the names of new files last. Raises OSError."""
    if os.name == "nt":  # no such thing there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    getattr(os, "fdatasync", os.fsync)(descriptor)


def _key_of(path: Path) -> bytes | None:
    found = _NAME.fullmatch(path.name)
    return bytes.fromhex(found["key"]) if found else None
