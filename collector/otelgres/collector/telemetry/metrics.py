"""How this receiver is doing, in numbers: counters and gauges, their Prometheus text, and what its peer_metrics say.

Receivers of one database on one machine leave their numbers beside their spools, so that whichever is asked answers for
all. Refuses to know where the numbers come from.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from otelgres.exporters.outcome import Accepted, Outcome
from otelgres.exporters.postgres.writer import Committed

# Upper bounds of the commit latency histogram, in seconds.
_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_FRESH_SECONDS: Final = 30.0
_SIGNAL_OF: Final = {
    "spans": "traces",
    "logs": "logs",
    "number_points": "metrics",
    "histogram_points": "metrics",
    "exponential_histogram_points": "metrics",
    "summary_points": "metrics",
}

# name -> (type, help). Every number that is shown is named here and in docs/operations.md.
NAMES: Final[dict[str, tuple[str, str]]] = {
    "otelgres_requests_total": ("counter", "Export requests by signal and outcome."),
    "otelgres_requests_rejected_total": ("counter", "Requests that authentication refused, by reason."),
    "otelgres_items_rejected_total": ("counter", "Items refused for good inside accepted requests, by signal."),
    "otelgres_items_stored_total": ("counter", "Spans, log records and metric points taken by PostgreSQL, by signal."),
    "otelgres_items_duplicate_total": ("counter", "Requests and rows that were stored already, by kind."),
    "otelgres_commits_total": ("counter", "Transactions with telemetry."),
    "otelgres_commit_requests_total": ("counter", "Requests in those transactions: divide for the group size."),
    "otelgres_commit_retries_total": (
        "counter",
        "Transactions done again: lost races, missing partitions, duplicates.",
    ),
    "otelgres_commit_seconds": ("histogram", "Time from taking a group to its commit."),
    "otelgres_queue_bytes": ("gauge", "Bytes of requests waiting for or in a transaction."),
    "otelgres_spool_bytes": ("gauge", "Bytes in the spool on disk."),
    "otelgres_spool_age_seconds": ("gauge", "Age of the oldest batch in the spool."),
    "otelgres_spool_quarantined": ("gauge", "Spooled batches that PostgreSQL never took, kept in files."),
    "otelgres_database_up": ("gauge", "1 while the database takes writes, else 0."),
}

Labels = tuple[tuple[str, str], ...]
Numbers = dict[tuple[str, Labels], float]


class ReceiverMetrics:
    """Counts from any thread; gauges are asked for when somebody looks."""

    def __init__(self, gauges: Mapping[str, Callable[[], float]], rejected: Callable[[], Mapping[str, int]]) -> None:
        """``rejected`` counts by reason the requests that never got past authentication."""
        self._gauges = dict(gauges)
        self._rejected = rejected
        self._counts: defaultdict[tuple[str, Labels], float] = defaultdict(float)
        self._lock = threading.Lock()

    def count_request(self, signal: str, outcome: Outcome) -> None:
        """Counts one request by what its sender was told."""
        name = "partial" if isinstance(outcome, Accepted) and outcome.rejected else type(outcome).__name__.lower()
        with self._lock:
            self._counts["otelgres_requests_total", (("outcome", name), ("signal", signal))] += 1
            if isinstance(outcome, Accepted) and outcome.rejected:
                self._counts["otelgres_items_rejected_total", (("signal", signal),)] += outcome.rejected

    def committed(self, committed: Committed) -> None:
        """Counts one transaction."""
        with self._lock:
            for table, rows in committed.rows.items():
                if rows:
                    self._counts["otelgres_items_stored_total", (("signal", _SIGNAL_OF[table]),)] += rows
            for kind, count in (("request", committed.duplicate_requests), ("row", committed.duplicate_rows)):
                if count:
                    self._counts["otelgres_items_duplicate_total", (("kind", kind),)] += count
            self._counts["otelgres_commits_total", ()] += 1
            self._counts["otelgres_commit_requests_total", ()] += committed.requests
            self._counts["otelgres_commit_retries_total", ()] += committed.retries
            for bound in _SECONDS:
                if committed.seconds <= bound:
                    self._counts["otelgres_commit_seconds_bucket", (("le", str(bound)),)] += 1
            self._counts["otelgres_commit_seconds_bucket", (("le", "+Inf"),)] += 1
            self._counts["otelgres_commit_seconds_count", ()] += 1
            self._counts["otelgres_commit_seconds_sum", ()] += committed.seconds

    def numbers(self) -> Numbers:
        """Everything, as of now."""
        with self._lock:
            found = dict(self._counts)
        for reason, count in self._rejected().items():
            found["otelgres_requests_rejected_total", (("reason", reason),)] = float(count)
        for name, gauge in self._gauges.items():
            found[name, ()] = gauge()
        return found

    def write_file(self, folder: Path) -> None:
        """Writes the numbers for the peer_metrics to read. Raises OSError."""
        content = {
            "at": time.time(),
            "numbers": [[name, labels, value] for (name, labels), value in self.numbers().items()],
        }
        temporary = folder / "metrics.json.new"
        temporary.write_bytes(orjson.dumps(content))
        temporary.replace(folder / "metrics.json")


def peer_metrics(parent: Path) -> dict[str, Numbers]:
    """What receivers with spool folders below ``parent`` left lately, by folder."""
    found: dict[str, Numbers] = {}
    for path in sorted(parent.glob("*/metrics.json")):
        try:
            content: dict[str, Any] = orjson.loads(path.read_bytes())
            if time.time() - content["at"] <= _FRESH_SECONDS:
                found[path.parent.name] = {
                    (name, tuple((key, text) for key, text in labels)): float(value)
                    for name, labels, value in content["numbers"]
                }
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def prometheus(numbers: Mapping[str, Numbers]) -> str:
    """The text exposition format, https://prometheus.io/docs/instrumenting/exposition_formats, by receiver slot."""
    lines: list[str] = []
    for name, (kind, meaning) in NAMES.items():
        samples = [
            f"{sample}{_labelled((*labels, ('receiver', slot)))} {value:g}"
            for slot, found in numbers.items()
            for (sample, labels), value in found.items()
            if sample == name or (kind == "histogram" and sample.removeprefix(name) in ("_bucket", "_count", "_sum"))
        ]
        lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}", *samples]
    return "\n".join(lines) + "\n"


def _labelled(labels: Labels) -> str:
    return "{" + ",".join(f'{key}="{text}"' for key, text in labels) + "}"
