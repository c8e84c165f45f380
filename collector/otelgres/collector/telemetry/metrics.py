"""The receiver's own metrics: names, labels and counts, and their text for Prometheus.

Metrics that the OpenTelemetry Collector has too use its names and labels, as exposed by its default configuration:
without ``_total`` and without units. All others are called ``otelgres_…``.
"""

import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

import psutil
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from otelgres.collector.outcomes import Answerable, Reason
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.items import count_items
from otelgres.exporters.outcome import Accepted, Overloaded, Unavailable
from otelgres.exporters.postgres.writer import Committed


class Description(NamedTuple):
    """A metric's type in Prometheus, the names of its labels, and its help text."""

    kind: str
    labels: str
    help: str


Labels = tuple[tuple[str, str], ...]
Numbers = dict[tuple[str, Labels], float]

# Every exposed metric is listed here and in docs/operations.md.
NAMES: Final[dict[str, Description]] = {
    "otelcol_receiver_requests": Description(
        "counter", "receiver, transport, signal, outcome, reason", "Export requests, each counted once when it ends."
    ),
    "otelcol_receiver_accepted_spans": Description(
        "counter", "receiver, transport", "Spans stored in the database or the spool."
    ),
    "otelcol_receiver_accepted_metric_points": Description("counter", "receiver, transport", "The same of points."),
    "otelcol_receiver_accepted_log_records": Description("counter", "receiver, transport", "The same of log records."),
    "otelcol_receiver_refused_spans": Description(
        "counter", "receiver, transport", "Spans rejected permanently or with a retry delay."
    ),
    "otelcol_receiver_refused_metric_points": Description("counter", "receiver, transport", "The same of points."),
    "otelcol_receiver_refused_log_records": Description("counter", "receiver, transport", "The same of log records."),
    "otelcol_exporter_sent_spans": Description("counter", "exporter", "Spans in committed transactions."),
    "otelcol_exporter_sent_metric_points": Description("counter", "exporter", "The same of points."),
    "otelcol_exporter_sent_log_records": Description("counter", "exporter", "The same of log records."),
    "otelcol_exporter_send_failed_spans": Description(
        "counter", "exporter", "Spans in failed attempts to store; the spool keeps them for another attempt."
    ),
    "otelcol_exporter_send_failed_metric_points": Description("counter", "exporter", "The same of points."),
    "otelcol_exporter_send_failed_log_records": Description("counter", "exporter", "The same of log records."),
    "otelcol_exporter_enqueue_failed_spans": Description(
        "counter", "exporter", "Spans rejected because the queue or the spool was full, or during shutdown."
    ),
    "otelcol_exporter_enqueue_failed_metric_points": Description("counter", "exporter", "The same of points."),
    "otelcol_exporter_enqueue_failed_log_records": Description("counter", "exporter", "The same of log records."),
    "otelcol_exporter_queue_size": Description(
        "gauge", "exporter", "Bytes of requests waiting for or in a transaction."
    ),
    "otelcol_exporter_queue_capacity": Description("gauge", "exporter", "Bytes that may wait (max_queue_bytes)."),
    "otelcol_process_uptime": Description("counter", "", "Seconds since the process started."),
    "otelcol_process_cpu_seconds": Description("counter", "", "CPU time of the process, user and system."),
    "otelcol_process_memory_rss": Description("gauge", "", "Bytes of physical memory."),
    "otelgres_page_requests_total": Description(
        "counter", "path, reason", "HTTP requests other than exports: pages and CORS preflights."
    ),
    "otelgres_items_duplicate_total": Description("counter", "kind", "Requests and rows that were already stored."),
    "otelgres_commit_seconds": Description("histogram", "", "Time from taking a group of requests to its commit."),
    "otelgres_commit_requests_total": Description(
        "counter", "", "Requests in committed transactions: divide by otelgres_commit_seconds_count for the group size."
    ),
    "otelgres_commit_retries_total": Description(
        "counter", "", "Transactions that were repeated: lost races, missing partitions, duplicates."
    ),
    "otelgres_spool_bytes": Description("gauge", "", "Bytes in the spool on disk."),
    "otelgres_spool_age_seconds": Description("gauge", "", "Age of the oldest batch in the spool."),
    "otelgres_spool_quarantined_batches": Description(
        "gauge", "", "Spooled batches that PostgreSQL rejected, kept in the quarantine folder."
    ),
    "otelgres_database_up": Description("gauge", "", "1 while the database accepts writes, else 0."),
}

EXPORTER: Final[Labels] = (("exporter", "postgresql"),)
_ITEMS: Final = {Signal.TRACES: "spans", Signal.METRICS: "metric_points", Signal.LOGS: "log_records"}
_POINT_TABLES: Final = ("number_points", "histogram_points", "exponential_histogram_points", "summary_points")
_TABLES: Final = {"spans": "spans", "logs": "log_records", **dict.fromkeys(_POINT_TABLES, "metric_points")}
_RECEIVERS: Final[dict[str, Labels]] = {
    transport: (("receiver", "otlp"), ("transport", transport)) for transport in ("grpc", "http")
}
# Upper bounds of the commit latency histogram, in seconds.
_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BUCKETS: Final = tuple((bound, (("le", str(bound)),)) for bound in _SECONDS)
_INFINITE: Final[Labels] = (("le", "+Inf"),)


class Metrics:
    """Counts, thread-safe; gauges are computed when they are read."""

    def __init__(self, gauges: Mapping[tuple[str, Labels], Callable[[], float]] | None = None) -> None:
        self._gauges = dict(gauges or {})
        self._lock = threading.Lock()
        self._process = psutil.Process(os.getpid())
        self._counts: defaultdict[tuple[str, Labels], float] = defaultdict(float)
        # So that rates start at zero.
        for items in _ITEMS.values():
            for labels in _RECEIVERS.values():
                self._counts[f"otelcol_receiver_accepted_{items}", labels] = 0
                self._counts[f"otelcol_receiver_refused_{items}", labels] = 0
            for what in ("sent", "send_failed", "enqueue_failed"):
                self._counts[f"otelcol_exporter_{what}_{items}", EXPORTER] = 0

    def request(self, transport: str, signal: Signal | None, reason: Reason) -> None:
        """Counts a finished request; ``signal`` is None if it has no valid one."""
        labels = (
            *_RECEIVERS[transport],
            ("signal", str(signal or "")),
            ("outcome", reason.outcome),
            ("reason", str(reason)),
        )
        with self._lock:
            self._counts["otelcol_receiver_requests", labels] += 1

    def page(self, path: str, reason: Reason) -> None:
        """Counts an HTTP request for a page; ``path`` is one of the receiver's routes."""
        with self._lock:
            self._counts["otelgres_page_requests_total", (("path", path), ("reason", str(reason)))] += 1

    def settled(self, transport: str, signal: Signal, items: int, outcome: Answerable) -> None:
        """Counts the ``items`` of one request by its outcome."""
        accepted = max(0, items - outcome.rejected) if isinstance(outcome, Accepted) else 0
        name, labels = _ITEMS[signal], _RECEIVERS[transport]
        with self._lock:
            self._counts[f"otelcol_receiver_accepted_{name}", labels] += accepted
            if items > accepted:
                self._counts[f"otelcol_receiver_refused_{name}", labels] += items - accepted
                if isinstance(outcome, Overloaded | Unavailable):
                    self._counts[f"otelcol_exporter_enqueue_failed_{name}", EXPORTER] += items

    def committed(self, committed: Committed) -> None:
        """Counts one transaction."""
        with self._lock:
            for table, rows in committed.rows.items():
                self._counts[f"otelcol_exporter_sent_{_TABLES[table]}", EXPORTER] += rows
            for kind, count in (("request", committed.duplicate_requests), ("row", committed.duplicate_rows)):
                if count:
                    self._counts["otelgres_items_duplicate_total", (("kind", kind),)] += count
            self._counts["otelgres_commit_requests_total", ()] += committed.requests
            self._counts["otelgres_commit_retries_total", ()] += committed.retries
            for bound, labels in _BUCKETS:
                self._counts["otelgres_commit_seconds_bucket", labels] += committed.seconds <= bound
            self._counts["otelgres_commit_seconds_bucket", _INFINITE] += 1
            self._counts["otelgres_commit_seconds_count", ()] += 1
            self._counts["otelgres_commit_seconds_sum", ()] += committed.seconds

    def send_failed(self, batch: Batch) -> None:
        """Counts a batch that an attempt did not store."""
        items = count_items(batch)
        with self._lock:
            self._counts[f"otelcol_exporter_send_failed_{_ITEMS[batch.signal]}", EXPORTER] += items

    def numbers(self) -> Numbers:
        """The current values of all metrics."""
        with self._lock:
            found = dict(self._counts)
        for key, gauge in self._gauges.items():
            found[key] = float(gauge())  # SQL expects numbers, not booleans
        with self._process.oneshot():
            cpu = self._process.cpu_times()
            found["otelcol_process_uptime", ()] = time.time() - self._process.create_time()
            found["otelcol_process_cpu_seconds", ()] = cpu.user + cpu.system
            found["otelcol_process_memory_rss", ()] = float(self._process.memory_info().rss)
        return found


class _Families(Collector):
    """The values of several receivers as metric families; each sample is labelled with its receiver."""

    def __init__(self, numbers: Mapping[str, Numbers]) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[Metric]:
        families = {name: Metric(name, about.help, about.kind) for name, about in NAMES.items()}
        for instance, numbers in self._numbers.items():
            for (name, labels), value in numbers.items():
                family = families.get(name) or families.get(_SAMPLE_SUFFIX.sub("", name))
                # A receiver of another version may have other names.
                if family is not None:
                    family.add_sample(name, {**dict(labels), "service_instance_id": instance}, value)
        yield from families.values()


_SAMPLE_SUFFIX: Final = re.compile(r"_(?:bucket|count|sum)$")
# The library appends _total to the name of every counter in comments, but not in samples.
_COUNTER_COMMENT: Final = re.compile(rb"^(# (?:HELP|TYPE) \w+?(?:_total)?)_total ", re.MULTILINE)


def prometheus(numbers: Mapping[str, Numbers]) -> bytes:
    """The text for Prometheus (exposition format 0.0.4) of the receivers' values by ``service_instance_id``."""
    return _COUNTER_COMMENT.sub(rb"\1 ", generate_latest(_Families(numbers)))
