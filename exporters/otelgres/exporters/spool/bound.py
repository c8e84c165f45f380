"""How much a spool may hold: the bytes of its folder and of what is quarantined in it, of all processes together."""

import contextlib
import os
import time
from pathlib import Path
from typing import Final

from otelgres.exporters.spool.files import listed

QUARANTINE: Final = "quarantine"
# Other processes write here, too; how much is looked up this often.
_SECONDS_BETWEEN_LOOKS: Final = 1.0


class Bound:
    """``max_bytes`` for ``folder``; each process may be a second's writing of the others late to notice."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._folder = folder
        self._used = 0
        self._looked = -_SECONDS_BETWEEN_LOOKS

    def has_room(self, length: int) -> bool:
        """Whether so many more bytes fit."""
        now = time.monotonic()
        if now - self._looked >= _SECONDS_BETWEEN_LOOKS:
            self._used = self.bytes_used()
            self._looked = now
        return self._used + length <= self.max_bytes

    def added(self, length: int) -> None:
        """So many bytes were written."""
        self._used += length

    def changed(self) -> None:
        """Something was removed, or failed: the next look is at the disk."""
        self._looked = -_SECONDS_BETWEEN_LOOKS

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
