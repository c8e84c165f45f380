"""A lock on an open file that the operating system drops with the process, kill -9 included.

A forked child shares its parent's lock and would keep it after the parent's death: in the child every locked file is
closed at once. Refuses to know what is in the files.
"""

import errno
import os
import sys

# Far behind the content: on Windows nobody else can read a locked byte.
_LOCKED_BYTE = 1 << 40
_TAKEN = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK})
_OPEN_MODE = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_held: set[int] = set()


def open_locked(path: str | os.PathLike[str], *, create: bool = False) -> int | None:
    """A descriptor of ``path``, open for reading and writing and locked; None if another has it or it is gone.

    With ``create`` the file must be new. Raises OSError.
    """
    flags = os.O_RDWR | _OPEN_MODE | (os.O_CREAT | os.O_EXCL if create else 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileNotFoundError:
        if create:
            raise
        return None
    try:
        _lock(descriptor)
        # Removed by its last owner between our open and our lock: what is written there is nowhere.
        if is_gone(descriptor):
            os.close(descriptor)
            return None
    except OSError as error:
        os.close(descriptor)
        if error.errno in _TAKEN:
            return None
        raise
    os.lseek(descriptor, 0, os.SEEK_SET)
    _held.add(descriptor)
    return descriptor


def is_gone(descriptor: int) -> bool:
    """Whether the open file has been removed from its folder."""
    return os.fstat(descriptor).st_nlink == 0


def close_locked(descriptor: int) -> None:
    """Closes and unlocks; nothing if this process does not hold it (a fork of the one that did)."""
    if descriptor in _held:
        _held.discard(descriptor)
        os.close(descriptor)


def _close_in_fork() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_fork)
