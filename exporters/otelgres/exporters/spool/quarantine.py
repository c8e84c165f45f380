"""The quarantine: batches that are always rejected, each in its own spool file, which can be replayed.

Damaged spool files are kept there too, up to a limit.
"""

import hashlib
import os
from pathlib import Path

from otelgres.exporters.batch import Batch
from otelgres.exporters.spool.bound import QUARANTINE, quarantine_bytes
from otelgres.exporters.spool.files import listed, sync_folder
from otelgres.exporters.spool.lock import open_regular
from otelgres.exporters.spool.records import KEY_BYTES, encode, header


class Quarantine:
    """The folder ``quarantine`` inside a spool's folder."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self.folder = spool / QUARANTINE

    def put(self, batch: Batch, written_at: int) -> Path:
        """Stores a batch, fsynced; returns its file. Raises OSError."""
        self.folder.mkdir(exist_ok=True, mode=0o700)
        # Named by content, so that a repetition after a crash creates no second file.
        key = hashlib.sha256(batch.signal.value.encode() + batch.payload).digest()[:KEY_BYTES]
        path = self.folder / f"{key.hex()}.spool"
        unfinished = path.with_suffix(".new")
        with os.fdopen(open_regular(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
            file.write(header(key, 1) + encode(batch, 0, written_at, key))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        sync_folder(self.folder)
        return path

    def place_for(self, damaged: Path, size: int, most: int) -> Path | None:
        """The target path of a damaged file of ``size`` bytes; None if the quarantine would exceed ``most`` bytes."""
        if quarantine_bytes(self._spool) + size > most:
            return None
        try:
            self.folder.mkdir(exist_ok=True, mode=0o700)
        except OSError:
            return None
        return self.folder / f"{damaged.name}.damaged"

    def count(self) -> int:
        """The number of quarantined batches."""
        return len(listed(self.folder))
