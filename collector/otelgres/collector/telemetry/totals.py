"""What receivers have stored since they started, counted as commits happen. Refuses to know how it is shown."""

import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from otelgres.collector.telemetry.metrics import Numbers
from otelgres.exporters.postgres.writer import Committed

_POINTS = ("number_points", "histogram_points", "exponential_histogram_points", "summary_points")


@dataclass(frozen=True, slots=True)
class Totals:
    """Rows since the start, by signal, and the duplicates that were not stored again; ``at`` is monotonic seconds."""

    at: float
    spans: int = 0
    logs: int = 0
    points: int = 0
    duplicates: int = 0
    commits: int = 0


def totals_of(numbers: Iterable[Numbers]) -> Totals:
    """The totals of several receivers together, from what they say of themselves."""
    sums: Counter[str] = Counter()
    for found in numbers:
        for (name, labels), value in found.items():
            sums[dict(labels).get("signal", "") if name == "otelgres_items_stored_total" else name] += int(value)
    return Totals(
        time.monotonic(),
        sums["traces"],
        sums["logs"],
        sums["metrics"],
        sums["otelgres_items_duplicate_total"],
        sums["otelgres_commits_total"],
    )


class TotalsCounter:
    """Adds up commits from several writer threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals = Totals(time.monotonic())

    def add(self, committed: Committed) -> None:
        """Counts one commit; called in the writer's thread."""
        with self._lock:
            now = self._totals
            self._totals = Totals(
                time.monotonic(),
                now.spans + committed.rows["spans"],
                now.logs + committed.rows["logs"],
                now.points + sum(committed.rows[table] for table in _POINTS),
                now.duplicates + committed.duplicate_requests + committed.duplicate_rows,
                now.commits + 1,
            )

    def totals(self) -> Totals:
        """The counts up to now."""
        with self._lock:
            return self._totals
