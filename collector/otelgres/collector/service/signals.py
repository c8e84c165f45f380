"""A command that a signal ends in good order whenever it comes: before it serves, while it serves and while it stops.

Refuses to know what is to be stopped: that is in the context managers inside the block.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

_NUMBERS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Until something inside takes SIGINT and SIGTERM over, they end the block, and the process with exit 0.

    After the first one no other interrupts the ending: whoever presses Ctrl-C again would leave half of it running. The
    process can still be killed.
    """

    def end(number: int, frame: FrameType | None) -> NoReturn:
        ignore_signals()
        sys.exit(0)

    for number in _NUMBERS:
        signal.signal(number, end)
    yield


def ignore_signals() -> None:
    """From here on only the ending is left to do."""
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_IGN)
