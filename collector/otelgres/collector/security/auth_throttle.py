"""Counts recent authentication failures by peer, in a table of limited size.

It does not protect tokens, as 256 random bits cannot be guessed. It prevents a client with a wrong token from filling
the log, and slows it down.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from otelgres.collector.system.network import client_network

_PEERS: Final = 4096


@dataclass(slots=True)
class _Window:
    since: float
    failures: int = 0


class AuthThrottle:
    """Allows ``most`` failures of a peer in a window of ``seconds``, which starts with the peer's first failure."""

    def __init__(
        self, most: int = 10, seconds: float = 60.0, *, peers: int = _PEERS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._peers = peers
        self._clock = clock
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    def add(self, address: str) -> int:
        """Adds a failure of this IP address (or other peer name); returns the number in the current window."""
        key = client_network(address)
        now = self._clock()
        window = self._windows.get(key)
        if window is None or now - window.since >= self._seconds:
            window = self._windows[key] = _Window(now)
            if len(self._windows) > self._peers:
                # The peer without failures for the longest time. With too many peers none is slowed down; the log
                # has a limit of its own.
                self._windows.popitem(last=False)
        self._windows.move_to_end(key)
        window.failures += 1
        return window.failures

    def too_many(self, failures: int) -> bool:
        """Whether a peer with this number of failures must be slowed down."""
        return failures > self._most
