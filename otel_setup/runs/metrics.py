"""Counts and times one run while it works: log records by level, phases, things processed. Needs no telemetry at all.

For any thread. Refuses to know where its figures go.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Of all collectors, since it is held for a moment. A signal handler that logs may come while this thread has it.
_lock = threading.RLock()


class LogMetricsCollector:
    """Counts from now on."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._levels: Counter[str] = Counter()
        self._processed: Counter[str] = Counter()
        # Name -> times, seconds, longest seconds, failures.
        self._phases: dict[str, list[float]] = {}

    def count_log(self, level: str) -> None:
        """One log record of ``level``."""
        with _lock:
            self._levels[level] += 1

    def count_processed(self, what: str, number: int = 1) -> int:
        """``number`` more of ``what`` are done; how many that makes."""
        with _lock:
            self._processed[what] += number
            return self._processed[what]

    def add_phase(self, name: str, seconds: float, *, failed: bool = False) -> None:
        """A phase has taken so long."""
        with _lock:
            phase = self._phases.setdefault(name, [0, 0.0, 0.0, 0])
            phase[0] += 1
            phase[1] += seconds
            phase[2] = max(phase[2], seconds)
            phase[3] += failed

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Times what is done inside."""
        began = time.perf_counter()
        failed = True
        try:
            yield
            failed = False
        finally:
            self.add_phase(name, time.perf_counter() - began, failed=failed)

    @property
    def log_counts(self) -> dict[str, int]:
        """Log records so far, by level name."""
        with _lock:
            return dict(self._levels)

    def summary(self) -> dict[str, Any]:
        """``duration_seconds``, ``log_counts``, ``processed`` and ``per_second`` by name, ``phases`` by name.

        Of a phase ``count``, ``duration_ms``, ``max_ms`` and ``errors``.
        """
        seconds = time.perf_counter() - self._began
        with _lock:
            return {
                "duration_seconds": round(seconds, 3),
                "log_counts": dict(self._levels),
                "phases": {
                    name: {
                        "count": int(count),
                        "duration_ms": round(total * 1e3, 3),
                        "max_ms": round(longest * 1e3, 3),
                        "errors": int(errors),
                    }
                    for name, (count, total, longest, errors) in list(self._phases.items())
                },
                "processed": dict(self._processed),
                "per_second": {
                    what: round(number / seconds, 3) for what, number in list(self._processed.items()) if seconds
                },
            }


def _new_process() -> None:
    # Another thread may have held it when the process was forked.
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_process)
