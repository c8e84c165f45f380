"""A lock on an open file that the operating system releases when the process ends, even after kill -9.

A forked child shares its parent's lock and would keep it after the parent has ended, so the child closes every locked
file at once.
"""

import errno
import os
import sys

# Far after the content: on Windows other processes cannot read a locked byte.
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
    """A locked descriptor of ``path`` for reading and writing; None if another process has it or it does not exist.

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
        # Its last owner removed it between the open and the lock: data written to it would be lost.
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
    """Closes and unlocks the file; does nothing in a fork, where it is already closed."""
    if descriptor in _held:
        _held.discard(descriptor)
        os.close(descriptor)


def _close_in_fork() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_fork)
