"""The spool of one receiver: groups of batches on the disk before they are acknowledged, read back in order of arrival.

Memory is bounded by what one ``read`` returns and by a place for each record of two files. What was read but not
forgotten is read again after a crash: whoever takes the batches must recognise them (digests do).
"""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from otelgres.exporters.batch import Batch
from otelgres.exporters.spool.bound import Bound
from otelgres.exporters.spool.files import SpoolFile, begun_at, spool_files
from otelgres.exporters.spool.quarantine import Quarantine
from otelgres.exporters.spool.records import HEAD_BYTES, HEADER_BYTES

log = logging.getLogger(__name__)

# A file is deleted as a whole, once all of it is forgotten.
_SEGMENT_BYTES: Final = 16 * 1024 * 1024
# Damaged files may take this share of the bound.
_DAMAGED_SHARE: Final = 4


class SpoolFull(Exception):  # noqa: N818 (named for what the sender is told)
    """There is no room, or the disk fails: nothing of this append was kept."""


class Spooled(NamedTuple):
    """A batch read back, and where it stands: ``position`` grows in the order of arrival."""

    position: tuple[str, int]
    batch: Batch
    written_at: int


class Loss(NamedTuple):
    """A damaged file that has been read through: how many batches it has cost, if any, and what was seen."""

    path: Path
    batches: int
    detail: str


class SpoolQueue:
    """One folder of spooled batches, for one process. Safe to use from several threads."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Takes what is there. Raises OSError when the folder cannot be used."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._bound = Bound(folder, max_bytes)
        self._quarantine = Quarantine(folder)
        self._lock = threading.RLock()
        # Files with something to forget, oldest first. What is there already is only read: new batches go to a file of
        # their own, which no old damage can reach.
        self._paths = spool_files(folder)
        self._open: dict[Path, SpoolFile] = {}
        self._finished: dict[Path, Loss] = {}
        self._current: SpoolFile | None = None
        self._begun = max((begun_at(path) for path in self._paths), default=0)

    @property
    def bytes(self) -> int:
        """Bytes held on disk, what was quarantined included."""
        return self._bound.bytes_used()

    @property
    def empty(self) -> bool:
        """Whether there is nothing left to read."""
        return not self._paths

    def append(self, batches: Sequence[Batch]) -> None:
        """Keeps all of them, on disk when this returns. Raises :class:`SpoolFull`, and then keeps none."""
        if not batches:
            return
        size = sum(HEAD_BYTES + len(batch.payload) for batch in batches)
        with self._lock:
            if self._writable is None:
                size += HEADER_BYTES
            if not self._bound.has_room(size):
                self._bound.changed()
                if not self._bound.has_room(size):
                    raise SpoolFull(f"the spool holds {self.bytes:,} of at most {self._bound.max_bytes:,} bytes")
            try:
                self._append(batches)
            except OSError as error:
                self._bound.changed()
                raise SpoolFull(f"the spool cannot be written: {error}") from error
            self._bound.added(size)

    def read(self, max_bytes: int) -> list[Spooled]:
        """The oldest batches not forgotten yet, in order: at least one if any can be read, about ``max_bytes``."""
        with self._lock:
            for path in list(self._paths):
                try:
                    found = self._read_file(path, max_bytes)
                except (OSError, MemoryError) as error:
                    log.warning("%s cannot be read now: %s; trying again later", path.name, error)
                    continue
                if found:
                    return found
            return []

    def forget(self, through: tuple[str, int]) -> None:
        """Batches up to and including this position are safe elsewhere."""
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
        """Keeps a batch in a file that is never read again: it can then be forgotten. Raises OSError."""
        path = self._quarantine.put(spooled.batch, spooled.written_at)
        self._bound.changed()
        return path

    def quarantined(self) -> int:
        """How many batches were quarantined and lie there still."""
        return self._quarantine.count()

    def losses(self) -> list[Loss]:
        """Damaged files that were read through. They stay until :meth:`forget_loss`: no loss goes unreported."""
        with self._lock:
            return list(self._finished.values())

    def forget_loss(self, loss: Loss) -> None:
        """The loss has been reported."""
        with self._lock:
            if self._finished.pop(loss.path, None) is None:
                return
            file = self._open.pop(loss.path)
            file.remove(self._quarantine.place_for(loss.path, file.size, self._bound.max_bytes // _DAMAGED_SHARE))
            self._paths.remove(loss.path)
            self._bound.changed()

    def oldest_age(self) -> float:
        """Seconds since the oldest batch was spooled; 0 when there is none."""
        with self._lock:
            for path in self._paths:
                if path in self._finished:
                    continue
                pending = self._open[path].pending() if path in self._open else []
                since = pending[0].written_at if pending else begun_at(path)
                return max(0.0, (time.time_ns() - since) / 1e9)
        return 0.0

    def close(self) -> None:
        """Closes the files; what they hold stays."""
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
            # Names sort by age whatever the clock does.
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
        """The file is read from the disk when its turn comes, and takes no memory until then."""
        file, self._current = self._current, None
        if file is not None and file.path != self._paths[0]:
            self._open.pop(file.path).close()

    def _read_file(self, path: Path, max_bytes: int) -> list[Spooled]:
        """Raises OSError when nothing can be read now that could be read later."""
        if path in self._finished:
            return []
        file = self._open.get(path)
        if file is None:
            file = SpoolFile.open(path)
            if file is None:
                if path.exists():
                    raise OSError("another process has it open")
                self._paths.remove(path)
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
            self._finished[path] = Loss(path, lost, f"{path.name}: {file.size:,} bytes, {lost} batches are damaged")
            return
        del self._open[path]
        file.remove()
        with suppress(ValueError):
            self._paths.remove(path)
        self._bound.changed()
