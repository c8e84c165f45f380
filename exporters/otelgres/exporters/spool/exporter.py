"""An exporter that writes batches to a spool folder, for applications. Several processes may share a folder.

Each process appends to its own locked file. When the process has ended, another can open the file and send its batches.
When the folder is full, new batches are rejected and old ones are kept.

A written batch is in the system's page cache: it survives the end of the process, even kill -9. Files are fsynced when
they are rotated or closed, so a power failure can lose the newest file (at most ``segment_bytes``).
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
    """Appends to ``folder``, which is created when first needed, private to its owner. Thread-safe.

    ``max_bytes`` limits the folder for all processes together; writes of others may be noticed a second late.
    """

    def __init__(
        self, folder: Path, *, max_bytes: int = DEFAULT_MAX_BYTES, segment_bytes: int = DEFAULT_SEGMENT_BYTES
    ) -> None:
        self.folder = folder
        self._bound = Bound(folder, max_bytes)
        self._segment_bytes = min(segment_bytes, max_bytes)
        self.forked()

    def forked(self) -> None:
        """Call in a forked child, which then uses its own file. The parent's file is already closed there."""
        self._lock = threading.Lock()
        self._file: SpoolFile | None = None

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Writes each batch: Accepted, Overloaded if the folder or disk is full, else Unavailable on an error."""
        with self._lock:
            return [self._append(batch) if batch.payload else Accepted() for batch in batches]

    def holds(self) -> bool:
        """Whether this exporter's open file contains records."""
        return self._file is not None and self._file.size > HEADER_BYTES

    def seal(self) -> None:
        """Closes the open file, so that another process can open it. The next write starts a new file."""
        with self._lock:
            self._seal()

    def close(self) -> None:
        """Closes the open file. A later write starts a new file."""
        self.seal()

    def bytes_used(self) -> int:
        """Bytes in the folder, of all processes."""
        return self._bound.bytes_used()

    def _append(self, batch: Batch) -> Outcome:
        file = self._file if self._file is not None and self._file.writable else None
        length = HEAD_BYTES + len(batch.payload) + (0 if file else HEADER_BYTES)
        if not self._bound.has_room(length):
            return Overloaded(_RETRY_AFTER, f"{self.folder} is full ({self._bound.max_bytes:,} bytes)")
        try:
            if file is None:
                self._seal()
                file = self._file = SpoolFile.create(self.folder, time.time_ns())
            file.append([batch])
        except OSError as error:
            self._bound.changed()
            reason = f"{self.folder} cannot be written: {error.strerror or error}"
            full = error.errno in _DISK_FULL
            return Overloaded(_RETRY_AFTER, reason) if full else Unavailable(_RETRY_AFTER, reason)
        self._bound.added(length)
        if file.size >= self._segment_bytes:
            self._seal()
        return Accepted()

    def _seal(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close(sync=True)
