"""Derives training labels from the figures of an operation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

VERY_SLOW: Final = "very_slow"


@dataclass(frozen=True, slots=True)
class Tiers:
    """Upper bounds of the tiers in milliseconds; a slower operation is ``very_slow``."""

    excellent: float = 200.0
    good: float = 500.0
    acceptable: float = 1000.0
    slow: float = 5000.0

    def of(self, milliseconds: float | None) -> str:
        """The tier of a duration; ``unknown`` for None."""
        if milliseconds is None:
            return "unknown"
        for name in ("excellent", "good", "acceptable", "slow"):
            if milliseconds < getattr(self, name):
                return name
        return VERY_SLOW


def data_quality(data: Mapping[str, Any], wanted: Sequence[str]) -> str:
    """By the share of the ``wanted`` fields that are filled: ``high`` from 75 %, ``medium`` from 40 %, else ``low``."""
    if not wanted:
        return "unknown"
    filled = sum(1 for field in wanted if data.get(field) not in (None, "")) / len(wanted)
    return "high" if filled >= 0.75 else "medium" if filled >= 0.4 else "low"


def complexity(queries: float | None, records: float | None) -> str:
    """By the larger number: ``low`` up to one, ``medium`` up to five, else ``high``."""
    most = max(queries or 0, records or 0)
    return "low" if most <= 1 else "medium" if most <= 5 else "high"


def sync_efficiency(done: float, failed: float) -> str:
    """By the share of successes: ``excellent`` from 95 %, ``good`` from 80, ``acceptable`` from 50, else ``poor``."""
    total = done + failed
    share = done / total if total else 1.0
    return "excellent" if share >= 0.95 else "good" if share >= 0.8 else "acceptable" if share >= 0.5 else "poor"


def batch_optimization(batch_size: float | None, total: float | None) -> str:
    """By how full the batch was: ``optimal`` from 70 %, else ``underfilled``; ``split`` for more than one batch."""
    if not batch_size or total is None:
        return "unknown"
    return "split" if total > batch_size else "optimal" if total >= 0.7 * batch_size else "underfilled"
