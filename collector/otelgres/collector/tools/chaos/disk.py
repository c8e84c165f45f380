"""A small disk for the spool, which can be filled."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_FILLER: Final = "filler"


class SmallDisk:
    """A tmpfs of ``size`` bytes on ``folder`` if the user is root and may mount, else only the folder.

    ``limited`` is true for a tmpfs, which only can be filled.
    """

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir()
        self.folder = folder
        self.limited = _mount(folder, size)

    def fill(self) -> None:
        """Uses all free space."""
        with suppress(OSError), (self.folder / _FILLER).open("ab", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))

    def release(self) -> None:
        """Releases that space."""
        (self.folder / _FILLER).unlink(missing_ok=True)

    def close(self) -> None:
        """Unmounts it."""
        if self.limited:
            subprocess.run(["umount", "-l", str(self.folder)], check=False, capture_output=True)  # noqa: S607 (wherever it is)
            self.limited = False


def _mount(folder: Path, size: int) -> bool:
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "otelgres-chaos", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
