"""Batches that are never taken, although others are: each in a spool file of its own, which can be replayed.

Files that were damaged are kept beside them, as long as they are few.
"""

import hashlib
import os
from pathlib import Path

from otelgres.exporters.batch import Batch
from otelgres.exporters.spool.bound import QUARANTINE, quarantine_bytes
from otelgres.exporters.spool.files import listed, sync_folder
from otelgres.exporters.spool.records import KEY_BYTES, encode, header


class Quarantine:
    """The folder ``quarantine`` inside a spool's folder."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self.folder = spool / QUARANTINE

    def put(self, batch: Batch, written_at: int) -> Path:
        """Keeps a batch, on the disk when this returns. Raises OSError."""
        self.folder.mkdir(exist_ok=True, mode=0o700)
        # Named by content, so that doing it again after a crash makes no second file.
        key = hashlib.sha256(batch.signal.value.encode() + batch.payload).digest()[:KEY_BYTES]
        path = self.folder / f"{key.hex()}.spool"
        unfinished = path.with_suffix(".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(unfinished, flags, 0o600), "wb") as file:
            file.write(header(key, 1) + encode(batch, 0, written_at, key))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        sync_folder(self.folder)
        return path

    def place_for(self, damaged: Path, size: int, most: int) -> Path | None:
        """Where a damaged file of ``size`` bytes may be moved; None where more than ``most`` bytes would be kept."""
        if quarantine_bytes(self._spool) + size > most:
            return None
        try:
            self.folder.mkdir(exist_ok=True, mode=0o700)
        except OSError:
            return None
        return self.folder / f"{damaged.name}.damaged"

    def count(self) -> int:
        """How many batches lie there."""
        return len(listed(self.folder))
