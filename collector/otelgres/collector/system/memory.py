"""Gives memory back to the operating system. glibc keeps what is freed between blocks that are in use."""

import ctypes
import sys
from typing import Final

LARGE: Final = 1024 * 1024
"""Bytes of a request after which it is worth the milliseconds."""

# Only glibc has it.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def release_memory() -> None:
    """Call it in a thread, after a large request; it does not hold the GIL."""
    if _trim is not None:
        _trim(0)
