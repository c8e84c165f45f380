"""Where otelgres keeps its data by default."""

import os
import sys
from pathlib import Path
from typing import Final

from otelgres.exporters.user_folder import user_folder

FOR_ROOT: Final = Path("/var/lib/otelgres")


def default_data_dir() -> Path:
    """The default data folder: in the user's data folder, or in /var/lib for root."""
    if sys.platform != "win32" and os.geteuid() == 0:
        return FOR_ROOT
    return user_folder("data")
