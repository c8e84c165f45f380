"""The one way in which tests wait for something to become true."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
# Half a minute is what a start can take when every core has ten others waiting for it; a hang is told by pytest anyway.
TIMEOUT = 90.0
_LOOK_AGAIN = 0.05


def until(look: Callable[[], T], what: str, patience: float = TIMEOUT) -> T:
    """What ``look`` returns once that is true; an AssertionError naming ``what`` when ``patience`` (seconds) ends."""
    deadline = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {patience} s in vain for {what}"
        threading.Event().wait(_LOOK_AGAIN)
    return found
