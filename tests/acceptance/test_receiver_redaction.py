"""Redaction and the ledger at the listeners: secrets never reach the database, refusals do, as counts."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.collector.outcomes import Rejected
from otelgres.collector.processors.redaction import Redactor, load_redaction
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.redaction import Redaction
from tests import otlp_raw
from tests.acceptance.receiver_process import OtelgresProcess, post, rows
from tests.waiting import until

SECRET = "hunter2-is-secret"
CARD = "4111 1111 1111 1111"


def add_secrets(attributes: Any) -> None:
    """Secrets by name, by look, and nested."""
    attributes.add(key="user.password").value.string_value = SECRET
    attributes.add(key="note").value.string_value = f"paid with {CARD}"
    nested = attributes.add(key="deep").value.kvlist_value
    nested.values.add(key="api_key").value.string_value = SECRET
    nested.values.add(key="list").value.array_value.values.add(string_value=f"password={SECRET}")
    attributes.add(key="plain").value.string_value = "stays"


def traces() -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    add_secrets(group.resource.attributes)
    scope = group.scope_spans.add()
    add_secrets(scope.scope.attributes)
    span = scope.spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=time.time_ns())
    span.name = f"token={SECRET}"
    span.status.message = f"password={SECRET}"
    add_secrets(span.attributes)
    add_secrets(span.events.add(name="e").attributes)
    add_secrets(span.links.add(trace_id=b"t" * 16, span_id=b"s" * 8).attributes)
    return request


def logs() -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=time.time_ns())
    add_secrets(record.body.kvlist_value.values)
    add_secrets(record.attributes)
    return request


def metrics() -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    point = metric.gauge.data_points.add(time_unix_nano=time.time_ns(), as_int=1)
    add_secrets(point.attributes)
    add_secrets(point.exemplars.add(as_int=1).filtered_attributes)
    return request


REQUESTS: dict[Signal, Any] = {Signal.TRACES: traces, Signal.LOGS: logs, Signal.METRICS: metrics}


@pytest.mark.parametrize("signal", list(Signal), ids=str)
def test_secrets_are_gone_everywhere_and_the_rest_stays(signal: Signal) -> None:
    payload = REQUESTS[signal]().SerializeToString()
    redactor = Redactor(Redaction())
    batch, count = redactor.redacted(Batch(signal, payload))
    assert count > 3
    assert SECRET.encode() not in batch.payload
    assert CARD.encode() not in batch.payload
    assert batch.payload.count(b"stays") == payload.count(b"stays")
    assert redactor.redacted(batch) == (batch, 0)
    with pytest.raises(Rejected):
        redactor.redacted(Batch(signal, b"\xff"))


@pytest.mark.parametrize("signal", list(Signal), ids=str)
def test_text_that_is_not_utf8_keeps_nothing_from_being_looked_at(signal: Signal) -> None:
    request = otlp_raw.REQUESTS[signal].FromString(REQUESTS[signal]().SerializeToString())
    otlp_raw.resources(request)[0].resource.attributes.add(key=b"\xff").value.string_value = b"\xff stays"
    batch, _ = Redactor(Redaction()).redacted(otlp_raw.batch(request))
    assert SECRET.encode() not in batch.payload
    assert b"\xff stays" in batch.payload


def test_rules_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("keys: ['^patient']\nvalues: ['[A-Z]{3}-[0-9]{4}']\ndefaults: false\n")
    rules = load_redaction(str(file))
    assert rules is not None
    assert rules.hides("patient.name")
    assert not rules.hides("password")
    assert rules.text("case ABC-1234") == "case [redacted]"
    assert load_redaction("off") is None
    file.write_text("keys: ['(']")
    with pytest.raises(ValueError, match="redact must be"):
        load_redaction(str(file))
    with pytest.raises(ValueError, match="redact must be"):
        load_redaction(str(tmp_path / "nothing"))


def test_the_receiver_redacts_and_enters_what_it_refused(database: str, tmp_path: Path) -> None:
    with OtelgresProcess(
        *("serve", "--json", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"),
        OTELGRES_DSN=database,
        OTELGRES_SPOOL=str(tmp_path),
        OTELGRES_REDACT="defaults",
        OTELGRES_MAX_REQUEST_BYTES="100000",
    ) as process:
        url = process.ready()["http"]
        protobuf = {"Content-Type": "application/x-protobuf"}
        for signal, make in REQUESTS.items():
            answer = post(f"{url}/v1/{signal}", content=make().SerializeToString(), headers=protobuf)
            assert answer.status_code == httpx.codes.OK
        for _ in range(3):
            post(f"{url}/v1/logs", content=b"{", headers={"Content-Type": "application/json"})
        post(f"{url}/v1/logs", content=f"secret {SECRET}", headers={"Content-Type": "text/plain"})
        post(f"{url}/v1/traces", content=b"x" * 100_001, headers=protobuf)
        post(f"{url}/v1/traces", content=b"x", headers={**protobuf, "Content-Encoding": "br"})
        query = "SELECT source, signal, effect, reason, sum(count)::int AS n FROM otel.losses GROUP BY 1, 2, 3, 4"
        wanted = {
            ("http", "logs", "refused", "malformed", 3),
            ("http", "logs", "refused", "media_type", 1),
            ("http", "traces", "refused", "too_large", 1),
            ("http", "traces", "refused", "content_encoding", 1),
        }
        until(lambda: {tuple(row.values()) for row in rows(database, query)} >= wanted, "the ledger")
        assert process.stop() == 0
    found = {tuple(row.values())[:4] for row in rows(database, query)}
    assert {("redaction", str(signal), "repaired", "redacted") for signal in Signal} <= found
    for view in ("spans", "logs", "metric_points", "losses"):
        assert SECRET not in str(rows(database, f"SELECT * FROM otel.{view}"))
        assert CARD not in str(rows(database, f"SELECT * FROM otel.{view}"))
