"""The receiver's metrics: the Collector's names and labels, numbers for SQL, and text for Prometheus."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from otelgres.collector.outcomes import Reason
from otelgres.collector.telemetry.metrics import EXPORTER, NAMES, Metrics, prometheus
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted, Unavailable
from otelgres.exporters.postgres.writer import Committed

ITEMS = ("spans", "metric_points", "log_records")
# As in the documentation of the Collector's receiverhelper, exporterhelper and service.
COLLECTORS = {
    "otelcol_receiver_requests": {"receiver", "transport", "outcome"},
    **{f"otelcol_receiver_{what}_{i}": {"receiver", "transport"} for what in ("accepted", "refused") for i in ITEMS},
    **{
        f"otelcol_exporter_{what}_{i}": {"exporter"}
        for what in ("sent", "send_failed", "enqueue_failed")
        for i in ITEMS
    },
    "otelcol_exporter_queue_size": {"exporter"},
    "otelcol_exporter_queue_capacity": {"exporter"},
    "otelcol_process_uptime": set(),
    "otelcol_process_cpu_seconds": set(),
    "otelcol_process_memory_rss": set(),
}


@pytest.fixture
def metrics() -> Metrics:
    gauges = (
        "otelgres_spool_bytes",
        "otelgres_spool_quarantined_batches",
        "otelgres_spool_age_seconds",
        "otelgres_database_up",
    )
    made = Metrics(
        {
            **{(name, ()): lambda: True for name in gauges},
            ("otelcol_exporter_queue_size", EXPORTER): lambda: 7,
            ("otelcol_exporter_queue_capacity", EXPORTER): lambda: 8,
        }
    )
    made.request("grpc", Signal.TRACES, Reason.NONE)
    made.request("http", None, Reason.WRONG_PATH)
    made.page("/healthz", Reason.NONE)
    made.settled("grpc", Signal.TRACES, 5, Accepted(2, "no id"))
    made.settled("http", Signal.LOGS, 3, Unavailable(1, "away"))
    made.send_failed(Batch(Signal.LOGS, b"\x0a\x06\x12\x04\x12\x00\x12\x00"))
    made.committed(Committed({"spans": 3, "number_points": 2, "summary_points": 1}, 1, 0.003, 0, 1, 2))
    return made


def test_what_the_collector_measures_has_its_name_and_labels(metrics: Metrics) -> None:
    ours = {name: set(filter(None, about.labels.split(", "))) for name, about in NAMES.items()}
    assert {name for name in ours if name.startswith("otelcol_")} == set(COLLECTORS)
    assert all(ours[name] >= labels for name, labels in COLLECTORS.items())
    for (name, labels), value in metrics.numbers().items():
        described = next(ours[family] for family in ours if name in (family, *_samples(family)))
        assert {key for key, _ in labels} - {"le"} == described, name
        assert type(value) in (int, float), name


def _samples(family: str) -> tuple[str, ...]:
    return tuple(family + suffix for suffix in ("_bucket", "_count", "_sum"))


def test_items_are_counted_on_both_sides_of_the_queue(metrics: Metrics) -> None:
    found = {(name, *dict(labels).values()): value for (name, labels), value in metrics.numbers().items()}
    assert found["otelcol_receiver_accepted_spans", "otlp", "grpc"] == 3
    assert found["otelcol_receiver_refused_spans", "otlp", "grpc"] == 2
    assert found["otelcol_receiver_refused_log_records", "otlp", "http"] == 3
    assert found["otelcol_exporter_enqueue_failed_spans", "postgresql"] == 0
    assert found["otelcol_exporter_enqueue_failed_log_records", "postgresql"] == 3
    assert found["otelcol_exporter_send_failed_log_records", "postgresql"] == 2
    assert found["otelcol_exporter_sent_spans", "postgresql"] == 3
    assert found["otelcol_exporter_sent_metric_points", "postgresql"] == 3


def test_prometheus_reads_the_text_of_several_receivers(metrics: Metrics) -> None:
    text = prometheus({"1": metrics.numbers(), "2": metrics.numbers()}).decode()
    types = dict(line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE "))
    assert types == {name: about.kind for name, about in NAMES.items()}
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {sample.labels["service_instance_id"] for sample in samples} == {"1", "2"}
    assert len({(sample.name, *sorted(sample.labels.items())) for sample in samples}) == len(samples)
    # The library's parser appends _total to counters; in the text they have their own names.
    accepted = [sample.value for sample in samples if sample.name == "otelcol_receiver_accepted_spans_total"]
    assert sum(accepted) == 6
    assert "otelcol_receiver_accepted_spans_total" not in text
    bounds = [(s.labels["le"], s.value) for s in samples if s.name == "otelgres_commit_seconds_bucket"]
    assert (bounds[0], bounds[1], bounds[12]) == (("0.002", 0), ("0.005", 1), ("+Inf", 1))
