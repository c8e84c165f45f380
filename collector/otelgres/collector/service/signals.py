"""Ends a command gracefully on a signal: before it serves, while it serves and while it stops."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

_NUMBERS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """SIGINT and SIGTERM end the block, and the process with exit status 0, until code inside handles them itself.

    Further signals are ignored: a second Ctrl-C would interrupt the shutdown. The process can still be killed.
    """

    def end(number: int, frame: FrameType | None) -> NoReturn:
        ignore_signals()
        sys.exit(0)

    for number in _NUMBERS:
        signal.signal(number, end)
    yield


def ignore_signals() -> None:
    """Ignores SIGINT and SIGTERM from now on."""
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_IGN)
