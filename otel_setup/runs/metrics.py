"""Counters and durations of one run: log records by level, phases, items processed. Works without telemetry."""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Shared by all collectors, since it is held only briefly. Reentrant: a signal handler that logs may interrupt a holder.
_lock = threading.RLock()


class LogMetricsCollector:
    """Counts from its creation on. Thread-safe."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._levels: Counter[str] = Counter()
        self._processed: Counter[str] = Counter()
        # Name -> count, total seconds, longest seconds, failures.
        self._phases: dict[str, list[float]] = {}

    def count_log(self, level: str) -> None:
        """Counts one log record of ``level``."""
        with _lock:
            self._levels[level] += 1

    def count_processed(self, what: str, number: int = 1) -> int:
        """Adds ``number`` to the processed ``what``; returns the new count."""
        with _lock:
            self._processed[what] += number
            return self._processed[what]

    def add_phase(self, name: str, seconds: float, *, failed: bool = False) -> None:
        """Adds one execution of phase ``name``, which took ``seconds``."""
        with _lock:
            phase = self._phases.setdefault(name, [0, 0.0, 0.0, 0])
            phase[0] += 1
            phase[1] += seconds
            phase[2] = max(phase[2], seconds)
            phase[3] += failed

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measures the block as phase ``name``."""
        began = time.perf_counter()
        failed = True
        try:
            yield
            failed = False
        finally:
            self.add_phase(name, time.perf_counter() - began, failed=failed)

    @property
    def log_counts(self) -> dict[str, int]:
        """The number of log records by level name."""
        with _lock:
            return dict(self._levels)

    def summary(self) -> dict[str, Any]:
        """``duration_seconds``, ``log_counts`` by level, ``processed`` and ``per_second`` by name, ``phases`` by name.

        Each phase has ``count``, ``duration_ms``, ``max_ms`` and ``errors``.
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
    # Another thread may have held the lock at the fork.
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_process)
