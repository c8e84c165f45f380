"""A exporter that keeps batches in a folder until somebody sends them: appended, rotated by size, bounded in bytes.

Each process writes files of its own, locked while it appends. A file that nobody has locked can be claimed by anyone,
read, and its records settled one by one; the last one settled removes it. When the folder is full the newest batch is
refused and what was kept before stays. Refuses to know where the batches go afterwards.

A write is in the system's page cache when it returns: it survives the process, kill -9 included. Files are fsynced
when they are rotated or closed, so a power cut can cost what the newest file holds (``segment_bytes`` at most).
"""

import contextlib
import errno
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from otelgres.exporters.batch import Batch
from otelgres.exporters.outcome import Accepted, Outcome, Overloaded, Unavailable
from otelgres.exporters.spool.file_lock import close_locked, is_gone, open_locked
from otelgres.exporters.spool.records import HEADER, PENDING, DamagedRecord, SpoolRecord, decode, encode

DEFAULT_MAX_BYTES: Final = 128 * 1024 * 1024
DEFAULT_SEGMENT_BYTES: Final = 8 * 1024 * 1024
# Opened (nanoseconds since 1970, so that names sort by age), process, number.
_NAME: Final = re.compile(r"\d{20}-\d+-\d+\.spool")
_RETRY_AFTER: Final = 5.0
_DISK_FULL: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG})
# Other processes write here too; how much is looked up this often.
_SECONDS_BETWEEN_LOOKS: Final = 1.0


class SpoolExporter:
    """Appends to ``folder``, which is made when first needed, private to its owner. Safe to use from several threads.

    ``max_bytes`` bounds the folder (all processes together; each may be a second's writing late to notice).
    """

    def __init__(
        self, folder: Path, *, max_bytes: int = DEFAULT_MAX_BYTES, segment_bytes: int = DEFAULT_SEGMENT_BYTES
    ) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = min(segment_bytes, max_bytes)
        self._used = 0
        self._looked = -_SECONDS_BETWEEN_LOOKS
        self._number = 0
        self.forked()

    def forked(self) -> None:
        """In a forked child: its own file from now on. What the parent had open is closed there already."""
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._size = 0

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Keeps each batch: Accepted, Overloaded when the folder or its disk is full, Unavailable when unusable."""
        with self._lock:
            return [self._append(batch) if batch.payload else Accepted() for batch in batches]

    def holds(self) -> bool:
        """Whether this exporter's open file has records."""
        return self._descriptor is not None and self._size > len(HEADER)

    def seal(self) -> None:
        """Ends the open file: anyone may claim it now. The next write begins another."""
        with self._lock:
            self._seal()

    def close(self) -> None:
        """Seals. A later write begins another file."""
        self.seal()

    def bytes_used(self) -> int:
        """Bytes in the folder, of all processes."""
        return sum(size for _, size in _listed(self.folder))

    def _append(self, batch: Batch) -> Outcome:
        record = encode(batch)
        if not self._has_room(len(record)):
            return Overloaded(_RETRY_AFTER, f"{self.folder} holds its {self._max_bytes:,} bytes")
        try:
            if self._descriptor is None or is_gone(self._descriptor):
                self._begin()
            self._write_whole(record)
        except OSError as error:
            self._looked = -_SECONDS_BETWEEN_LOOKS
            reason = f"{self.folder} cannot be written: {error.strerror or error}"
            full = error.errno in _DISK_FULL
            return Overloaded(_RETRY_AFTER, reason) if full else Unavailable(_RETRY_AFTER, reason)
        self._size += len(record)
        self._used += len(record)
        if self._size >= self._segment_bytes:
            self._seal()
        return Accepted()

    def _has_room(self, length: int) -> bool:
        now = time.monotonic()
        if now - self._looked >= _SECONDS_BETWEEN_LOOKS:
            self._looked = now
            self._used = self.bytes_used()
        return self._used + length <= self._max_bytes

    def _begin(self) -> None:
        self._seal()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = None
        while descriptor is None:  # another process can claim, find empty and remove it before we have the lock
            self._number += 1
            name = f"{time.time_ns():020}-{os.getpid()}-{self._number}.spool"
            descriptor = open_locked(self.folder / name, create=True)
        self._descriptor = descriptor
        self._size = 0
        self._write_whole(HEADER)
        self._size = len(HEADER)

    def _write_whole(self, data: bytes) -> None:
        assert self._descriptor is not None
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            # Half a record would only be skipped by readers, but it takes room that there is none of.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
                os.lseek(self._descriptor, self._size, os.SEEK_SET)
            raise

    def _seal(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.fsync(descriptor)
            close_locked(descriptor)


class ClaimedFile:
    """A spool file that this process has locked; use as a context manager, which lets it go or removes it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.damaged = 0
        self._kept = False
        self._descriptor = descriptor
        # With our name and another's content it is left alone. A crash can leave less than a header.
        start = os.read(descriptor, len(HEADER))
        self.foreign = not HEADER.startswith(start)
        self._pending: list[SpoolRecord] = []
        for part in decode(_read(descriptor)) if start == HEADER else ():
            if isinstance(part, DamagedRecord):
                self.damaged += 1
            elif part.state == PENDING:
                self._pending.append(part)
        self._settled: set[int] = set()

    def pending(self) -> list[SpoolRecord]:
        """The records that are not settled, oldest first."""
        return [record for record in self._pending if record.state_at not in self._settled]

    def settle(self, record: SpoolRecord, state: bytes) -> None:
        """Marks ``record`` as SENT or REFUSED, so that nobody sends it again. Never raises."""
        self._settled.add(record.state_at)
        with contextlib.suppress(OSError):  # then it is sent again one day, and recognised
            os.lseek(self._descriptor, record.state_at, os.SEEK_SET)
            os.write(self._descriptor, state)

    def keep(self) -> None:
        """The file stays, whatever is settled."""
        self._kept = True

    def __enter__(self) -> "ClaimedFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._kept and not self.foreign and not self.pending():
            # While it is locked, so that nobody claims it in between; Windows removes no file that is open.
            with contextlib.suppress(OSError):
                self.path.unlink()
                close_locked(self._descriptor)
                return
            close_locked(self._descriptor)
            with contextlib.suppress(OSError):
                self.path.unlink()
        close_locked(self._descriptor)


def spool_files(folder: Path) -> list[Path]:
    """The spool files in ``folder``, oldest first; none if it cannot be read."""
    return sorted(path for path, _ in _listed(folder))


def claim(path: Path) -> ClaimedFile | None:
    """The file, if nobody else has it. Never raises: what cannot be opened or read is somebody else's."""
    try:
        descriptor = open_locked(path)
    except OSError:
        return None
    if descriptor is None:
        return None
    try:
        return ClaimedFile(path, descriptor)
    except (OSError, MemoryError):
        close_locked(descriptor)
        return None


def _listed(folder: Path) -> Iterator[tuple[Path, int]]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    if entry.is_file(follow_symlinks=False):
                        yield Path(entry.path), entry.stat().st_size


def _read(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    parts = []
    while part := os.read(descriptor, 1 << 20):
        parts.append(part)
    return b"".join(parts)
