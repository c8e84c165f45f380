"""Ends a command gracefully on a signal: before it serves, while it serves and while it stops."""

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def set_on_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set ``stop``, an event of the running loop; after the block they are ignored.

    Not by the loop's own handlers: when they are removed, Python's default ones end the process for a moment. Does
    nothing outside the main thread, where signals cannot be handled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    woken, wakes = socket.socketpair()
    with woken, wakes:
        for end in (woken, wakes):
            end.setblocking(False)

        def read() -> None:
            with suppress(BlockingIOError):
                if set(woken.recv(4096)).intersection(_NUMBERS):
                    stop.set()

        try:
            loop.add_reader(woken, read)
        except NotImplementedError:  # on Windows, where the loop itself is woken by signals
            for number in _NUMBERS:
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
            try:
                yield
            finally:
                ignore_signals()
            return
        before = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        try:
            for number in _NUMBERS:
                signal.signal(number, lambda *_: None)
                signal.siginterrupt(number, False)
            yield
        finally:
            ignore_signals()
            signal.set_wakeup_fd(before)
            loop.remove_reader(woken)


def ignore_signals() -> None:
    """Ignores SIGINT and SIGTERM from now on."""
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_IGN)
