"""A circuit breaker for one signal: whether the collector answers, and when to retry (1 to 30 s, with jitter).

Used by several threads without a lock: a lost race costs one attempt.
"""

import random
import time
from typing import Final

from otelgres.exporters.outcome import Outcome, Overloaded, Unavailable

_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 30.0
# A receiver may ask for a longer wait, up to this.
_LONGEST_RETRY_AFTER: Final = 60.0


class CircuitBreaker:
    """Available until an attempt fails, then unavailable until one succeeds."""

    def __init__(self) -> None:
        self.available = True
        self.reason = ""
        self._failures = 0
        self._retry_at = 0.0

    def record(self, outcome: Outcome) -> None:
        """Updates the state from one outcome. A permanent rejection is an answer, so the collector is available."""
        if not isinstance(outcome, Overloaded | Unavailable):
            self.available = True
            self._failures = 0
            return
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2**self._failures) * random.uniform(0.8, 1.2)  # noqa: S311
        self._failures = min(self._failures + 1, 10)
        self._retry_at = time.monotonic() + max(wait, min(outcome.retry_after, _LONGEST_RETRY_AFTER))
        self.reason = outcome.message
        self.available = False

    def retry_in(self) -> float:
        """Seconds until the next attempt is due; 0 if it is."""
        return 0.0 if self.available else max(0.0, self._retry_at - time.monotonic())
