"""A exporter that keeps batches in a folder until somebody sends them: for applications, several processes to a folder.

Each process appends to a file of its own, locked. Anyone may open the file of a process that is gone, and send what is
in it. When the folder is full the newest batch is refused, and what was kept before stays.

A write is in the system's page cache when it returns: it survives the process, kill -9 included. Files are fsynced when
they are rotated or closed, so a power cut can cost what the newest file holds (``segment_bytes`` at most).
"""

import errno
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from otelgres.exporters.batch import Batch
from otelgres.exporters.outcome import Accepted, Outcome, Overloaded, Unavailable
from otelgres.exporters.spool.bound import Bound
from otelgres.exporters.spool.files import SpoolFile
from otelgres.exporters.spool.records import HEAD_BYTES, HEADER_BYTES

DEFAULT_MAX_BYTES: Final = 128 * 1024 * 1024
DEFAULT_SEGMENT_BYTES: Final = 8 * 1024 * 1024
_RETRY_AFTER: Final = 5.0
_DISK_FULL: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG})


class SpoolExporter:
    """Appends to ``folder``, which is made when first needed, private to its owner. Safe to use from several threads.

    ``max_bytes`` bounds the folder (all processes together; each may be a second's writing late to notice).
    """

    def __init__(
        self, folder: Path, *, max_bytes: int = DEFAULT_MAX_BYTES, segment_bytes: int = DEFAULT_SEGMENT_BYTES
    ) -> None:
        self.folder = folder
        self._bound = Bound(folder, max_bytes)
        self._segment_bytes = min(segment_bytes, max_bytes)
        self.forked()

    def forked(self) -> None:
        """In a forked child: its own file from now on. What the parent had open is closed there already."""
        self._lock = threading.Lock()
        self._file: SpoolFile | None = None

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Keeps each batch: Accepted, Overloaded when the folder or its disk is full, Unavailable when unusable."""
        with self._lock:
            return [self._append(batch) if batch.payload else Accepted() for batch in batches]

    def holds(self) -> bool:
        """Whether this exporter's open file has records."""
        return self._file is not None and self._file.size > HEADER_BYTES

    def seal(self) -> None:
        """Ends the open file: anyone may open it now. The next write begins another."""
        with self._lock:
            self._seal()

    def close(self) -> None:
        """Seals. A later write begins another file."""
        self.seal()

    def bytes_used(self) -> int:
        """Bytes in the folder, of all processes."""
        return self._bound.bytes_used()

    def _append(self, batch: Batch) -> Outcome:
        length = HEAD_BYTES + len(batch.payload)
        if not self._bound.has_room(length):
            return Overloaded(_RETRY_AFTER, f"{self.folder} holds its {self._bound.max_bytes:,} bytes")
        try:
            if self._file is None or not self._file.writable:
                self._seal()
                self._file = SpoolFile.create(self.folder, time.time_ns())
            self._file.append([batch])
        except OSError as error:
            self._bound.changed()
            reason = f"{self.folder} cannot be written: {error.strerror or error}"
            full = error.errno in _DISK_FULL
            return Overloaded(_RETRY_AFTER, reason) if full else Unavailable(_RETRY_AFTER, reason)
        self._bound.added(length)
        if self._file.size >= self._segment_bytes:
            self._seal()
        return Accepted()

    def _seal(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close(sync=True)
