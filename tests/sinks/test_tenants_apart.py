"""In the views of all tenants together: no row of one tenant hides, renames or finishes one of another."""

import time
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.collector.processors.tenant import with_tenant
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted
from otelgres.exporters.postgres.writer import PostgresWriter

SECOND: Final = 1_000_000_000
TRACE: Final = b"\x07" * 16


class Sender:
    """Sends as tenants, and asks the database."""

    def __init__(self, dsn: str) -> None:
        self.writer = PostgresWriter(dsn)
        self.reader = psycopg.connect(dsn, autocommit=True)
        self.now = time.time_ns() // SECOND * SECOND

    def span(self, tenant: str, number: int, **given: Any) -> None:
        """A span of a second, that began ten minutes ago."""
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        group.resource.attributes.add(key="service.name").value.string_value = f"service of {tenant}"
        role = given.pop("role", None)
        flow = given.pop("flow", None)
        start = self.now - 600 * SECOND
        usual = {"trace_id": TRACE, "name": f"by {tenant}", "start_time_unix_nano": start}
        span = group.scope_spans.add().spans.add(
            span_id=number.to_bytes(8), end_time_unix_nano=start + SECOND, **(usual | given)
        )
        for key, value in (("otelgres.type", role), ("otelgres.flow.name", flow)):
            if value:
                span.attributes.add(key=key).value.string_value = value
        self._write(Signal.TRACES, request, tenant)

    def record(self, tenant: str, event: str, ago: int, checkpoints: list[str] | None = None, **given: str) -> None:
        """A log record of some seconds ago."""
        request = ExportLogsServiceRequest()
        group = request.resource_logs.add()
        group.resource.attributes.add(key="service.name").value.string_value = "same service"
        record = group.scope_logs.add().log_records.add(time_unix_nano=self.now - ago * SECOND, event_name=event)
        for key, value in given.items():
            record.attributes.add(key=key).value.string_value = value
        if checkpoints is not None:
            names = record.attributes.add(key="otelgres.expected.checkpoints").value.array_value
            names.SetInParent()
            for name in checkpoints:
                names.values.add(string_value=name)
        self._write(Signal.LOGS, request, tenant)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        return self.reader.execute(query.encode()).fetchall()

    def _write(self, signal: Signal, request: Any, tenant: str) -> None:
        assert self.writer.write([with_tenant(Batch(signal, request.SerializeToString()), tenant)]) == [Accepted()]


@pytest.fixture
def sender(database: str) -> Iterator[Sender]:
    one = Sender(database)
    yield one
    one.writer.close()
    one.reader.close()


def test_a_heartbeat_of_another_does_not_hide_that_one_is_missing(sender: Sender) -> None:
    sender.record("a", "otelgres.heartbeat", 3600, source_system="feed")
    sender.record("b", "otelgres.heartbeat", 1, source_system="feed")
    assert sender.ask("SELECT missed FROM otel.heartbeats ORDER BY 1") == [(False,), (True,)]
    assert sender.ask("SELECT firing FROM otel.alert_missing_heartbeat() ORDER BY 1") == [(False,), (True,)]


def test_a_subscription_of_another_does_not_confirm_one(sender: Sender) -> None:
    sender.record("a", "otelgres.subscription", 60, source_system="s", channel="c", event_type="subscription_active")
    sender.record("b", "otelgres.subscription", 1, source_system="s", channel="c", event_type="subscription_confirmed")
    assert sender.ask("SELECT active_since IS NULL, confirmed FROM otel.subscriptions ORDER BY 1") == [
        (False, False),
        (True, False),
    ]


def test_what_another_expects_does_not_complete_a_flow(sender: Sender) -> None:
    declared = {"event_type": "expected_checkpoints", "otelgres.flow.name": "order"}
    sender.record("a", "otelgres.integration", 900, ["ONE", "TWO"], **declared)
    sender.record("b", "otelgres.integration", 800, [], **declared)
    sender.span("a", 1, role="flow", flow="order", name="order")
    sender.span("a", 2, role="checkpoint", name="ONE", parent_span_id=(1).to_bytes(8))
    missing = "SELECT missing FROM otel.incomplete_flows"
    assert sender.ask(missing) == [(["TWO"],)]
    # Nor does a flow of the other become incomplete by what the first expects.
    sender.span("b", 3, role="flow", flow="order", name="order", trace_id=b"\x08" * 16)
    assert sender.ask(missing) == [(["TWO"],)]


def test_spans_of_another_are_no_parents_and_no_children(sender: Sender) -> None:
    # The parent of a's span never arrived; b sends one with its id. And both send a span 3 at the same time.
    sender.span("a", 2, parent_span_id=(1).to_bytes(8), kind=2)
    sender.span("b", 1, kind=3)
    sender.span("a", 3, parent_span_id=(2).to_bytes(8))
    sender.span("b", 3, parent_span_id=(2).to_bytes(8))
    assert sender.ask("SELECT count(*) FROM otel.spans") == [(4,)]
    assert sender.ask("SELECT * FROM otel.service_edges") == []
    trace = TRACE.hex()
    tree = f"SELECT name, depth, span_id::bigint FROM otel.span_tree('{trace}') ORDER BY 1, 3"
    assert sender.ask(tree) == [("by a", 0, 2), ("by a", 1, 3), ("by b", 0, 1), ("by b", 0, 3)]
    timing = "SELECT phase, span_id::bigint, self_ms FROM otel.phase_timing ORDER BY 1, 2"
    assert sender.ask(timing) == [("by a", 2, 0), ("by a", 3, 1000), ("by b", 1, 1000), ("by b", 3, 1000)]
    path = f"SELECT DISTINCT name FROM otel.critical_path('{trace}')"
    assert sender.ask(path) == [("by b",)], "b's span has no parent"
