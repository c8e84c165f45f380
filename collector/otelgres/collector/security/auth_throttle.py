"""How often each peer failed lately, in a table that cannot grow. Refuses to know what failing means and who is asked.

What it is for: nobody guesses 256 random bits, so this does not keep tokens safe. It keeps a sender with a wrong token
from filling the log, and tells it to slow down.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_PEERS: Final = 4096
# Whoever has one IPv6 address has all of its /64.
_IPV6_PREFIX: Final = 64


@dataclass(slots=True)
class _Window:
    since: float
    failures: int = 0


class AuthThrottle:
    """At most ``most`` failures a peer in any window of ``seconds``; windows start with a peer's first failure."""

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
        """Notes a failure of this IP address (or whatever names the peer) and returns how many its window has now."""
        key = _network(address)
        now = self._clock()
        window = self._windows.get(key)
        if window is None or now - window.since >= self._seconds:
            window = self._windows[key] = _Window(now)
            if len(self._windows) > self._peers:
                # The one that has been quiet longest. With more peers than places nobody is slowed down, which costs
                # lines in a log, and those are bounded on their own.
                self._windows.popitem(last=False)
        self._windows.move_to_end(key)
        window.failures += 1
        return window.failures

    def too_many(self, failures: int) -> bool:
        """Whether a peer with so many in its window is to be slowed down."""
        return failures > self._most


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))
