"""The one way in which tests wait for something to become true."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
# A process may take half a minute to start on a loaded machine. A hang ends by the timeout of pytest.
TIMEOUT = 90.0
_INTERVAL = 0.05


def until(condition: Callable[[], T], what: str, timeout: float = TIMEOUT) -> T:
    """Returns the first true result of ``condition``; fails with ``what`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {timeout} s for {what}"
        threading.Event().wait(_INTERVAL)
    return found
