"""Lets a fork wait, briefly, for exports under way.

gRPC makes itself ready for a fork only while no thread is inside it; a child forked at another moment has a gRPC that
does not work. Refuses to know what is exported.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

# An export to a collector that answers takes milliseconds. One that takes longer is not worth an application's wait.
LONGEST_WAIT = 0.25


class ForkBarrier:
    """Exports pass through ``passing``; a fork closes the gate and waits for those inside."""

    def __init__(self) -> None:
        self.reopen_in_child()

    def reopen_in_child(self) -> None:
        """The threads that were inside did not come along, nor did whoever held the lock."""
        self._changed = threading.Condition()
        self._inside = 0
        self._forks = 0

    @contextmanager
    def passing(self) -> Iterator[None]:
        """One export. Waits while a fork is under way."""
        changed = self._changed
        with changed:
            while self._forks:
                changed.wait()
            self._inside += 1
        try:
            yield
        finally:
            with changed:
                self._inside -= 1
                changed.notify_all()

    def close(self, *, wait: bool) -> None:
        """Before a fork: nothing more gets in; with ``wait``, until nothing is inside or LONGEST_WAIT is over."""
        with self._changed:
            self._forks += 1
            if wait:
                self._changed.wait_for(lambda: not self._inside, LONGEST_WAIT)

    def reopen(self) -> None:
        """After a fork, in the parent."""
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()
