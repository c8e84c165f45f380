"""Gives memory back to the operating system. glibc keeps what is freed between blocks that are in use."""

import ctypes
import sys
from typing import Final

LARGE: Final = 1024 * 1024
"""Bytes of a request after which it is worth the milliseconds."""

# Only glibc has them.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_trim = getattr(_libc, "malloc_trim", None)
_option = getattr(_libc, "mallopt", None)
_MMAP_THRESHOLD: Final = -3


def return_large_blocks() -> None:
    """Blocks of a mebibyte and more are given back when they are freed. By default glibc learns to keep them."""
    if _option is not None:
        _option(_MMAP_THRESHOLD, LARGE)


def release_memory() -> None:
    """Call it in a thread, after a large request; it does not hold the GIL."""
    if _trim is not None:
        _trim(0)
