"""Limits the size of a spool folder, including its quarantine, for all processes together."""

import contextlib
import os
import time
from pathlib import Path
from typing import Final

from otelgres.exporters.spool.files import listed

QUARANTINE: Final = "quarantine"
# Other processes write to the folder too, so its size is read this often.
_SECONDS_BETWEEN_SCANS: Final = 1.0


class Bound:
    """The limit ``max_bytes`` of ``folder``; writes of other processes may be noticed a second late."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._folder = folder
        self._used = 0
        self._scanned_at = -_SECONDS_BETWEEN_SCANS

    def has_room(self, length: int) -> bool:
        """Whether ``length`` more bytes fit."""
        now = time.monotonic()
        if now - self._scanned_at >= _SECONDS_BETWEEN_SCANS:
            self._used = self.bytes_used()
            self._scanned_at = now
        return self._used + length <= self.max_bytes

    def added(self, length: int) -> None:
        """Adds ``length`` written bytes."""
        self._used += length

    def changed(self) -> None:
        """The size has changed otherwise: the next check reads it from the disk."""
        self._scanned_at = -_SECONDS_BETWEEN_SCANS

    def bytes_used(self) -> int:
        """Bytes on disk now."""
        return sum(size for _, size in listed(self._folder)) + quarantine_bytes(self._folder)


def quarantine_bytes(folder: Path) -> int:
    """Bytes of everything quarantined in a spool's folder."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder / QUARANTINE) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                total += entry.stat(follow_symlinks=False).st_size
    return total
