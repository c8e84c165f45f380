"""Makes a fork wait briefly for exports in progress.

gRPC can prepare for a fork only while no thread is inside it; in a child forked at another moment gRPC does not work.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

# An export to a collector that answers takes milliseconds; the application does not wait for a slower one.
LONGEST_WAIT = 0.25


class ForkBarrier:
    """Exports run inside ``passing``; a fork closes the barrier and waits for those in progress."""

    def __init__(self) -> None:
        self.reopen_in_child()

    def reopen_in_child(self) -> None:
        """In the child: resets the state, since the parent's threads do not exist here."""
        self._changed = threading.Condition()
        self._inside = 0
        self._forks = 0

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Contains one export. Waits while a fork is in progress."""
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
        """Before a fork: stops new exports; with ``wait``, waits up to LONGEST_WAIT for those in progress."""
        with self._changed:
            self._forks += 1
            if wait:
                self._changed.wait_for(lambda: not self._inside, LONGEST_WAIT)

    def reopen(self) -> None:
        """After a fork, in the parent."""
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()
