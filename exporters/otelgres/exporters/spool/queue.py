"""The spool of one receiver: groups of batches, fsynced before they are acknowledged and read in order of arrival.

Memory is limited by the result of one ``read`` and an entry for each record of two files. After a crash, batches that
were not forgotten are read again: the reader must recognise duplicates (by digests).
"""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from otelgres.exporters.batch import Batch
from otelgres.exporters.plural import counted
from otelgres.exporters.spool.bound import Bound
from otelgres.exporters.spool.files import SpoolFile, begun_at, spool_files, write_and_remove
from otelgres.exporters.spool.quarantine import Quarantine
from otelgres.exporters.spool.records import HEAD_BYTES, HEADER_BYTES

log = logging.getLogger(__name__)

# A file is deleted as a whole, once all its batches are forgotten.
_SEGMENT_BYTES: Final = 16 * 1024 * 1024
# No clock shows a later time (the year 2262). A name can, and after the greatest one no other could follow.
_LATEST: Final = 2**63 - 1
# Damaged files may use one part in so many of the limit.
_DAMAGED_SHARE: Final = 4
# What a request of an application usually has.
_SMALL_BYTES: Final = 64 * 1024
_TRIAL: Final = "trial.tmp"


class SpoolFull(Exception):  # noqa: N818 (named for the reported state)
    """The spool is full, or cannot be written: nothing of this append was stored."""


class Spooled(NamedTuple):
    """A batch from the spool; ``position`` increases in order of arrival."""

    position: tuple[str, int]
    batch: Batch
    written_at: int


class Loss(NamedTuple):
    """A damaged file that has been read: the number of lost batches (may be 0), and a description."""

    path: Path
    batches: int
    detail: str


class SpoolQueue:
    """A folder of spooled batches, for one process. Thread-safe."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Opens ``folder`` with its existing batches. Raises OSError if it cannot be used."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._bound = Bound(folder, max_bytes)
        self._quarantine = Quarantine(folder)
        self._lock = threading.RLock()
        # Files with pending batches, oldest first. Existing files are only read; new batches go to new files, so that
        # old damage does not affect them.
        self._paths = spool_files(folder)
        self._open: dict[Path, SpoolFile] = {}
        self._finished: dict[Path, Loss] = {}
        self._unreadable: dict[Path, str] = {}
        self._current: SpoolFile | None = None
        begun = map(begun_at, self._paths)
        self._begun = max((one for one in begun if one <= _LATEST), default=0)

    @property
    def bytes(self) -> int:
        """Bytes on disk, including the quarantine."""
        return self._bound.bytes_used()

    @property
    def empty(self) -> bool:
        """Whether there are no batches to read."""
        return not self._paths

    def append(self, batches: Sequence[Batch]) -> None:
        """Stores and fsyncs all batches, or none and raises :class:`SpoolFull`."""
        if not batches:
            return
        size = sum(HEAD_BYTES + len(batch.payload) for batch in batches)
        with self._lock:
            if self._writable is None:
                size += HEADER_BYTES
            if not self._bound.has_room(size):
                self._bound.changed()
                if not self._bound.has_room(size):
                    raise SpoolFull(f"the spool is full: {self.bytes:,} of at most {self._bound.max_bytes:,} bytes")
            try:
                self._append(batches)
            except OSError as error:
                self._bound.changed()
                raise SpoolFull(f"the spool cannot be written: {error}") from error
            self._bound.added(size)

    def refusal(self) -> str:
        """Why a small batch could not be stored now, after writing as much to the folder; empty if it could."""
        with self._lock:
            self._bound.changed()
            if not self._bound.has_room(_SMALL_BYTES):
                return f"the spool is full: {self.bytes:,} of at most {self._bound.max_bytes:,} bytes"
        try:
            write_and_remove(self._folder / _TRIAL, _SMALL_BYTES)
        except OSError as error:
            return f"the spool cannot be written: {error.strerror or error}"
        return ""

    def read(self, max_bytes: int) -> list[Spooled]:
        """The oldest batches that are not forgotten, in order: about ``max_bytes``, at least one if any is readable."""
        with self._lock:
            for path in list(self._paths):
                try:
                    found = self._read_file(path, max_bytes)
                except (OSError, MemoryError) as error:
                    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
                    if self._unreadable.get(path) != reason:
                        log.warning("%s cannot be read now: %s; retrying later", path, reason)
                    self._unreadable[path] = reason
                    continue
                self._unreadable.pop(path, None)
                if found:
                    return found
            return []

    def forget(self, through: tuple[str, int]) -> None:
        """Marks batches up to and including this position as stored elsewhere."""
        name, number = through
        path = self._folder / name
        with self._lock:
            file = self._open.get(path)
            if file is None:
                return
            for entry in file.pending():
                if entry.number <= number:
                    file.settle(entry)
            if not file.pending():
                self._finish(path, file)

    def quarantine(self, spooled: Spooled) -> Path:
        """Writes a batch to the quarantine; it can then be forgotten. Raises OSError."""
        path = self._quarantine.put(spooled.batch, spooled.written_at)
        self._bound.changed()
        return path

    def quarantined(self) -> int:
        """The number of batches in the quarantine."""
        return self._quarantine.count()

    def losses(self) -> list[Loss]:
        """Damaged files that have been read. They are kept until :meth:`forget_loss`, so that no loss is unreported."""
        with self._lock:
            return list(self._finished.values())

    def forget_loss(self, loss: Loss) -> None:
        """Removes a reported loss with its file."""
        with self._lock:
            if self._finished.pop(loss.path, None) is None:
                return
            file = self._open.pop(loss.path)
            file.remove(self._quarantine.place_for(loss.path, file.size, self._bound.max_bytes // _DAMAGED_SHARE))
            self._paths.remove(loss.path)
            self._bound.changed()

    def oldest_age(self) -> float:
        """Seconds since the oldest batch was spooled; 0 if there is none."""
        with self._lock:
            for path in self._paths:
                if path in self._finished:
                    continue
                pending = self._open[path].pending() if path in self._open else []
                now = time.time_ns()
                since = pending[0].written_at if pending else begun_at(path) or now
                return max(0.0, (now - since) / 1e9)
        return 0.0

    def close(self) -> None:
        """Closes the files and keeps their batches."""
        with self._lock:
            self._current = None
            for file in self._open.values():
                file.close()
            self._open.clear()
            self._finished.clear()

    @property
    def _writable(self) -> SpoolFile | None:
        file = self._current
        return file if file is not None and file.writable and file.size < _SEGMENT_BYTES else None

    def _append(self, batches: Sequence[Batch]) -> None:
        file = self._writable
        if file is None:
            self._release_current()
            # Names sort by age even if the clock is set back.
            self._begun = max(time.time_ns(), self._begun + 1)
            file = SpoolFile.create(self._folder, self._begun, sync=True)
            self._open[file.path] = self._current = file
            self._paths.append(file.path)
        try:
            file.append(batches, sync=True)
        except OSError:
            if not file.pending():
                self._finish(file.path, file)
            raise

    def _release_current(self) -> None:
        """Closes the current file, which uses no memory until it is read."""
        file, self._current = self._current, None
        if file is not None and file.path != self._paths[0]:
            self._open.pop(file.path).close()

    def _read_file(self, path: Path, max_bytes: int) -> list[Spooled]:
        """Raises OSError if the file cannot be read now but may be readable later."""
        if path in self._finished:
            return []
        file = self._open.get(path)
        if file is None:
            file = SpoolFile.open(path)
            if file is None:
                if path.exists():
                    raise OSError("another process has locked it")
                self._paths.remove(path)
                return []
            if file.version:
                file.close()
                self._paths.remove(path)
                log.warning(
                    "%s is kept: it was written by another version of otelgres (spool format %s), which can send it "
                    "(otelgres replay DIR)",
                    path,
                    file.version,
                )
                return []
            self._open[path] = file
        found: list[Spooled] = []
        size = 0
        for entry in file.pending():
            batch = file.read(entry)
            if batch is None:
                continue
            found.append(Spooled((path.name, entry.number), batch, entry.written_at))
            size += len(batch.payload)
            if size >= max_bytes:
                break
        if not found:
            self._finish(path, file)
        return found

    def _finish(self, path: Path, file: SpoolFile) -> None:
        if file is self._current:
            self._current = None
        if file.damaged or file.foreign:
            lost = max(file.lost, 1) if file.foreign else file.lost
            self._finished[path] = Loss(
                path, lost, f"{path.name}: {counted(file.size, 'byte')}, {counted(lost, 'batch', 'batches')} damaged"
            )
            return
        del self._open[path]
        file.remove()
        with suppress(ValueError):
            self._paths.remove(path)
        self._bound.changed()
