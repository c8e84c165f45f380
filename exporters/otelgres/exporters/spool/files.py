"""A spool file, locked by this process: append and read records, mark them as settled, remove the file.

Any process can open an unlocked file. Appended records are in the system's page cache; with ``sync`` they are on disk
when ``append`` returns.
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
_NAME: Final = re.compile(r"(?:(?P<begun>[0-9]{20})-[0-9]+-)?(?P<key>[0-9a-f]{16})\.spool")
SUFFIX: Final = ".spool"
# Limits a reader's memory, which has an entry for each record.
_MOST_RECORDS: Final = 20_000


class SpoolFile:
    """Not thread-safe. As a context manager it closes the file, or removes it if no record is pending."""

    def __init__(self, path: Path, descriptor: int, contents: Contents) -> None:
        """See :meth:`create` and :meth:`open`."""
        self.path = path
        self.size = os.fstat(descriptor).st_size
        self.lost = contents.lost
        """The number of records that could not be read."""
        self.damaged = contents.damaged
        """Whether anything in the file differs from what was written."""
        self.foreign = contents.key is None
        """Whether the content is not that of a spool file of this version."""
        self.version = contents.version
        """The format's version if another version of otelgres wrote the file; else ""."""
        self.incomplete = contents.incomplete
        """Whether the process that created the file ended before the first record."""
        self.damaged_bytes = contents.damaged_bytes
        """The number of bytes that are not part of a readable record."""
        self._key = contents.key or b""
        self._count = 0
        self._descriptor = descriptor
        self._pending = {entry.number: entry for entry in contents.entries if not entry.settled}
        self._keep = False
        self._writable = False

    @classmethod
    def create(cls, folder: Path, begun: int, *, sync: bool = False) -> Self:
        """A new file in ``folder``, which is created, private to its owner, if missing. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            key = new_key()
            path = folder / f"{begun:020}-{os.getpid()}-{key.hex()}.spool"
            descriptor = open_locked(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            if descriptor is not None:
                break
            # Another process locked it first.
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
    def open(cls, path: Path, *, read_only: bool = False) -> Self | None:
        """The file, for reading; None if another process has locked it or it does not exist. Raises OSError.

        With ``read_only`` records cannot be settled, and the file need not be writable.
        """
        descriptor = open_locked(path, os.O_RDONLY if read_only else os.O_RDWR)
        if descriptor is None:
            return None
        try:
            return cls(path, descriptor, read_contents(descriptor, _key_of(path)))
        except (OSError, MemoryError):
            close_locked(descriptor)
            raise

    @property
    def writable(self) -> bool:
        """Whether more records can be appended."""
        return self._writable and self._count < _MOST_RECORDS and not is_gone(self._descriptor)

    def append(self, batches: Sequence[Batch], *, sync: bool = False) -> None:
        """Appends all batches, or none and raises OSError. After a failed ``sync`` the file is no longer writable."""
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
            # A partial write would use space and be sent again.
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
        """The unsettled records, oldest first."""
        return list(self._pending.values())

    def read(self, entry: Entry) -> Batch | None:
        """The batch of a record; None if it has been damaged, which is counted as lost. Raises OSError."""
        batch = read_batch(self._descriptor, entry)
        if batch is None and entry.number in self._pending:
            del self._pending[entry.number]
            self.lost += 1
            self.damaged_bytes += entry.end - entry.offset
            self.damaged = True
            self._writable = False
        return batch

    def settle(self, entry: Entry) -> None:
        """Marks a record as stored elsewhere or rejected, so that it is not sent again. Never raises."""
        self._pending.pop(entry.number, None)
        with contextlib.suppress(OSError):  # then it is sent again later, and recognised as a duplicate
            self._write(entry.offset + SETTLED_OFFSET, settled_field(entry.number, self._key))

    def keep(self) -> None:
        """Do not remove the file, even if all records are settled."""
        self._keep = True

    def close(self, *, sync: bool = False) -> None:
        """Closes and unlocks the file. With ``sync`` it is fsynced first; errors of that are ignored."""
        if sync:
            with contextlib.suppress(OSError):
                _sync(self._descriptor)
        close_locked(self._descriptor)

    def remove(self, to: Path | None = None) -> OSError | None:
        """Closes the file and deletes it, or moves it to ``to``. Returns the error if that is not possible."""
        # First while it is locked, so that no other process opens it; Windows cannot remove an open file.
        failure: OSError | None = None
        for _ in range(2):
            try:
                self.path.unlink() if to is None else self.path.replace(to)
            except OSError as error:
                failure = error
                close_locked(self._descriptor)
            else:
                failure = None
                break
        close_locked(self._descriptor)
        return failure

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
            # The system may have dropped the data, and the next fsync may succeed without it.
            self._writable = False
            raise


def open_file(path: Path) -> SpoolFile | None:
    """The file, or None if it is locked or cannot be read now. Never raises."""
    try:
        return SpoolFile.open(path)
    except (OSError, MemoryError):
        return None


def spool_files(folder: Path) -> list[Path]:
    """The spool files in ``folder``, oldest first; empty if it cannot be read."""
    return sorted(path for path, _ in listed(folder))


def begun_at(path: Path) -> int:
    """The start time of the file in nanoseconds since 1970; 0 for a quarantined batch."""
    found = _NAME.fullmatch(path.name)
    return int(found["begun"] or 0) if found else 0


def listed(folder: Path) -> list[tuple[Path, int]]:
    """The spool files in ``folder`` with their sizes; empty if it cannot be read."""
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    if entry.is_file(follow_symlinks=False):
                        found.append((Path(entry.path), entry.stat().st_size))
    return found


def write_and_remove(path: Path, size: int) -> None:
    """Writes a file of ``size`` bytes to the disk and removes it. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        data = memoryview(bytes(size))
        while data:
            data = data[os.write(descriptor, data) :]
        _sync(descriptor)
    finally:
        os.close(descriptor)
        path.unlink()


def sync_folder(folder: Path) -> None:
    """fsyncs the folder, so that the names of new files survive a power failure. Raises OSError."""
    if os.name == "nt":  # not possible there
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
