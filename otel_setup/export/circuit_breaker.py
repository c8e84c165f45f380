"""Whether a collector answers for one signal, and when to ask again: from 1 s to 30 s, with jitter.

Refuses to know how it is asked. Read by several threads; a lost race costs one try.
"""

import random
import time
from typing import Final

from otelgres.exporters.outcome import Outcome, Overloaded, Unavailable

_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 30.0
# A receiver may ask for more patience than ours, within reason.
_LONGEST_ASKED: Final = 60.0


class CircuitBreaker:
    """Up until a try fails, then down until one works."""

    def __init__(self) -> None:
        self.available = True
        self.reason = ""
        self._failures = 0
        self._retry_at = 0.0

    def record(self, outcome: Outcome) -> None:
        """Learns from one answer. A refusal for good is an answer, too: somebody is there."""
        if not isinstance(outcome, Overloaded | Unavailable):
            self.available = True
            self._failures = 0
            return
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2**self._failures) * random.uniform(0.8, 1.2)  # noqa: S311
        self._failures = min(self._failures + 1, 10)
        self._retry_at = time.monotonic() + max(wait, min(outcome.retry_after, _LONGEST_ASKED))
        self.reason = outcome.message
        self.available = False

    def retry_in(self) -> float:
        """Seconds until the next try makes sense; 0 for now."""
        return 0.0 if self.available else max(0.0, self._retry_at - time.monotonic())
