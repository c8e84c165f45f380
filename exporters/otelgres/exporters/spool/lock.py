"""A lock on an open file that the operating system releases when the process ends, even after kill -9.

A forked child shares its parent's lock and would keep it after the parent has ended, so the child closes every locked
file at once.
"""

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path

# Far after the content: on Windows other processes cannot read a locked byte.
_LOCKED_BYTE = 1 << 40
# What the system says of a link (Linux, FreeBSD), and of a socket or a FIFO or device without its other side.
_SPECIAL = frozenset({errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.ENODEV})
_TAKEN = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK})
# A link could lead to somebody else's file, and opening a FIFO or a device could wait for ever or change it.
_SAFE = sum(getattr(os, name, 0) for name in ("O_BINARY", "O_NOINHERIT", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY"))

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


def open_regular(path: str | os.PathLike[str], flags: int, folder: int | None = None) -> int:
    """A descriptor of the regular file ``path``; a new file is private to its owner. Never waits, follows no link.

    ``folder`` is the descriptor of the folder that ``path`` is relative to. Raises OSError.
    """
    try:
        descriptor = os.open(path, flags | _SAFE, 0o600, dir_fd=folder)
    except OSError as error:
        if error.errno in _SPECIAL:
            raise OSError(error.errno, "not a regular file", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor


def open_locked(path: str | os.PathLike[str], flags: int = os.O_RDWR) -> int | None:
    """A locked descriptor of ``path``; None if another process has it or it does not exist. Raises OSError."""
    try:
        descriptor = open_regular(path, flags)
    except FileNotFoundError:
        if flags & os.O_CREAT:
            raise
        return None
    try:
        _make_private(descriptor)
        _lock(descriptor)
        # Its last owner removed it between the open and the lock: data written to it would be lost.
        if is_gone(descriptor):
            os.close(descriptor)
            return None
    except OSError as error:
        os.close(descriptor)
        if flags & os.O_EXCL:
            with contextlib.suppress(OSError):
                Path(path).unlink()  # ours and empty: nobody else would remove it
        if error.errno in _TAKEN:
            return None
        raise
    os.lseek(descriptor, 0, os.SEEK_SET)
    _held.add(descriptor)
    return descriptor


def _make_private(descriptor: int) -> None:
    # Whoever can read a file can lock it, also one that an earlier version created with another mode.
    if sys.platform != "win32":
        status = os.fstat(descriptor)
        ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
        if ours and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            with contextlib.suppress(OSError):  # on a file system that is mounted read-only
                os.fchmod(descriptor, 0o600)


def is_locked(descriptor: int) -> bool:
    """Whether this process holds the lock of a descriptor of :func:`open_locked`; a fork of it does not."""
    return descriptor in _held


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
