"""OpenTelemetry's Python SDK, and otel_setup on top of it, against the real receiver: every value is found in SQL."""

import json
import math
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, set_span_in_context
from opentelemetry.trace.span import TraceState

from otelgres.collector.embedded import Cluster
from tests.acceptance.receiver_process import Serving, environment, served
from tests.waiting import TIMEOUT

# One of each kind that an attribute can have, and the odd ones with what jsonb shows for them.
VALUES: dict[str, Any] = {
    "text": 'GET ☃ \U0001f600 \\ " \n',
    "empty text": "",
    "true": True,
    "int": -42,
    "beyond 2^53": 2**63 - 1,
    "double": 0.1,
    "round double": 3.0,
    "texts": ["a", "b"],
    "ints": [1, 2, 2**62],
    "bools": [True, False],
    "doubles": [1.5, -2.25],
    "none at all": [],
}
ODD_VALUES: dict[str, Any] = {"nan": math.nan, "minus zero": -0.0, "bytes": b"\x00\xff"}
ODD_SHOWN: dict[str, Any] = {
    "nan": {"$double": "NaN"},
    "minus zero": {"$double": "-0.0"},
    "bytes": {"$bytes": "AP8="},
}
RESOURCE: dict[str, Any] = {"service.name": "orders", "service.version": "2.14.0", "replicas": 3}


@pytest.fixture(scope="module")
def receiver(cluster: Cluster, migrated: str) -> Iterator[Serving]:
    with served(cluster, migrated) as running:
        yield running


@pytest.fixture(params=["grpc", "grpc gzip", "http", "http gzip", "http deflate"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def recent() -> int:
    """A time of the last minute with all its nanoseconds."""
    return time.time_ns() // 10**9 * 10**9 - 30 * 10**9 + 123_456_789


def exporter(signal: str, transport: str, receiver: Serving) -> Any:
    """The SDK's own exporter."""
    protocol, _, compression = transport.partition(" ")
    if protocol == "grpc":
        kind = {"traces": GrpcSpanExporter, "logs": GrpcLogExporter, "metrics": GrpcMetricExporter}[signal]
        coding = grpc.Compression.Gzip if compression else grpc.Compression.NoCompression
        return kind(endpoint=f"http://{receiver.grpc}", compression=coding)
    over_http = {"traces": HttpSpanExporter, "logs": HttpLogExporter, "metrics": HttpMetricExporter}[signal]
    return over_http(endpoint=f"{receiver.http}/v1/{signal}", compression=Compression(compression or "none"))


def test_spans(receiver: Serving, transport: str) -> None:
    provider = TracerProvider(resource=Resource(RESOURCE), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter("traces", transport, receiver)))
    tracer = provider.get_tracer("shop.views", "1.2.3", attributes={"scope": transport})
    start = recent()
    remote = SpanContext(
        2**127 + 1, 2**63 + 1, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("a", "1")])
    )
    root = tracer.start_span("GET /orders", kind=SpanKind.SERVER, attributes=VALUES | ODD_VALUES, start_time=start)
    child = tracer.start_span(
        "charge",
        set_span_in_context(root),
        kind=SpanKind.CLIENT,
        links=[Link(remote, {"why": "retry", "n": 2})],
        start_time=start + 1,
    )
    child.add_event("tried", {"attempt": 1, "ok": False}, timestamp=start + 2)
    child.add_event("tried", {}, timestamp=start + 3)
    child.set_status(Status(StatusCode.ERROR, "card declined"))
    others = {kind: tracer.start_span(kind.name, set_span_in_context(root), kind=kind) for kind in SpanKind}
    for one in others.values():
        one.set_status(StatusCode.OK)
        one.end()
    child.end(start + 1_000_000_007)
    root.end(start + 2_000_000_011)
    assert provider.force_flush()
    provider.shutdown()

    trace_id = f"{root.get_span_context().trace_id:032x}"
    found = {row["span_id"]: row for row in receiver.rows("SELECT * FROM otel.spans WHERE trace_id = %s", trace_id)}
    assert len(found) == 2 + len(SpanKind)
    mine = found[f"{root.get_span_context().span_id:016x}"]
    assert mine["attributes"] == VALUES | ODD_SHOWN
    assert isinstance(mine["attributes"]["round double"], float)
    assert isinstance(mine["attributes"]["beyond 2^53"], int)
    assert mine["resource_attributes"] == RESOURCE
    assert mine["service_name"] == "orders"
    assert mine["flow_id"] == uuid.UUID(trace_id)
    assert (mine["scope_name"], mine["scope_version"]) == ("shop.views", "1.2.3")
    assert mine["scope_attributes"] == {"scope": transport}
    assert (mine["name"], mine["kind"], mine["parent_span_id"]) == ("GET /orders", "SERVER", None)
    assert mine["start_time_unix_nano"] == start
    assert mine["end_time_unix_nano"] == start + 2_000_000_011
    assert mine["duration_ns"] == 2_000_000_011
    assert mine["duration_ms"] == pytest.approx(2000.000011)
    assert (mine["status_code"], mine["status_message"]) == ("UNSET", None)
    assert (mine["events"], mine["links"]) == ([], [])
    assert mine["flags"] == 0x100

    charge = found[f"{child.get_span_context().span_id:016x}"]
    assert (charge["name"], charge["kind"], charge["parent_span_id"]) == ("charge", "CLIENT", mine["span_id"])
    assert (charge["status_code"], charge["status_message"]) == ("ERROR", "card declined")
    assert charge["attributes"] == {}
    assert charge["events"] == [
        {"time_unix_nano": start + 2, "name": "tried", "attributes": {"attempt": 1, "ok": False}},
        {"time_unix_nano": start + 3, "name": "tried"},
    ]
    [link] = charge["links"]
    assert link["trace_id"] == f"{remote.trace_id:032x}"
    assert link["span_id"] == f"{remote.span_id:016x}"
    assert link["attributes"] == {"why": "retry", "n": 2}

    for kind, one in others.items():
        row = found[f"{one.get_span_context().span_id:016x}"]
        assert (row["name"], row["kind"], row["status_code"]) == (kind.name, kind.name, "OK")

    [flow] = receiver.rows("SELECT * FROM otel.flows WHERE trace_id = %s", trace_id)
    assert (flow["name"], flow["span_count"], flow["error_count"]) == ("GET /orders", 2 + len(SpanKind), 1)
    assert flow["complete"] is True
    assert flow["services"] == ["orders"]


BODIES: Sequence[Any] = [
    "plain text",
    "",
    7,
    2.5,
    True,
    None,
    b"\x00\x01",
    ["a", 1, [2.5, None], {"deep": {"er": b"x"}}],
    {"message": "structured", "n": 2**60, "list": [1, "two"], "nothing": None},
]
BODIES_SHOWN: Sequence[Any] = [
    None,
    None,
    7,
    2.5,
    True,
    None,
    {"$bytes": "AAE="},
    ["a", 1, [2.5, None], {"deep": {"er": {"$bytes": "eA=="}}}],
    {"message": "structured", "n": 2**60, "list": [1, "two"], "nothing": None},
]


def test_logs(receiver: Serving, transport: str) -> None:
    provider = LoggerProvider(resource=Resource(RESOURCE), shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter("logs", transport, receiver)))
    name = f"orders {transport}"
    logger = provider.get_logger(name, "0.9")
    tracing = TracerProvider(shutdown_on_exit=False)
    span = tracing.get_tracer("t").start_span("s")
    start = recent()
    for number, body in enumerate(BODIES):
        logger.emit(
            LogRecord(
                timestamp=start + number,
                observed_timestamp=start + 1000 + number,
                context=set_span_in_context(span) if number % 2 else None,
                severity_number=list(SeverityNumber)[number * 2 + 1],
                severity_text=f"level {number}",
                body=body,
                attributes=VALUES | {"number": number},
                event_name="order.placed" if number == 1 else None,
            )
        )
    assert provider.force_flush()
    provider.shutdown()

    found = receiver.rows("SELECT * FROM otel.logs WHERE scope_name = %s ORDER BY time_unix_nano", name)
    assert len(found) == len(BODIES)
    context = span.get_span_context()
    for number, row in enumerate(found):
        assert row["time_unix_nano"] == start + number
        assert row["observed_time_unix_nano"] == start + 1000 + number
        assert row["severity_number"] == list(SeverityNumber)[number * 2 + 1].value
        assert row["severity_text"] == f"level {number}"
        assert row["attributes"] == VALUES | {"number": number}
        assert row["resource_attributes"] == RESOURCE
        assert row["scope_version"] == "0.9"
        assert row["event_name"] == ("order.placed" if number == 1 else None)
        assert row["trace_id"] == (f"{context.trace_id:032x}" if number % 2 else None)
        assert row["span_id"] == (f"{context.span_id:016x}" if number % 2 else None)
        assert row["body_value"] == BODIES_SHOWN[number]
        if isinstance(BODIES[number], str):
            assert row["body"] == BODIES[number]


def test_metrics(receiver: Serving, transport: str) -> None:
    reader = PeriodicExportingMetricReader(exporter("metrics", transport, receiver), export_interval_millis=math.inf)
    views = [View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())]
    provider = MeterProvider([reader], resource=Resource(RESOURCE), views=views, shutdown_on_exit=False)
    tracing = TracerProvider(shutdown_on_exit=False)
    name = f"meter {transport}"
    meter = provider.get_meter(name, "0.1")

    def temperature(_: CallbackOptions) -> list[Observation]:
        return [Observation(21.5, {"room": "a"}), Observation(-3, {"room": "b"})]

    meter.create_observable_gauge("temperature", [temperature], unit="Cel", description="how warm it is")
    counter = meter.create_counter("requests", unit="{request}")
    in_use = meter.create_up_down_counter("in_use")
    explicit = meter.create_histogram("duration", unit="s", explicit_bucket_boundaries_advisory=[0.5, 1.0])
    exponential = meter.create_histogram("exponential")
    with tracing.get_tracer("t").start_as_current_span("measured") as span:
        counter.add(2**60, VALUES)
        explicit.record(0.25, {"route": "/a"})
    explicit.record(0.5, {"route": "/a"})
    explicit.record(7, {"route": "/a"})
    in_use.add(-4)
    for value in (0, 1, 2, 4, 1000):
        exponential.record(value)
    # The one collection there is: a reader without an interval has no last one at its end.
    assert provider.force_flush()
    provider.shutdown()

    found = receiver.rows("SELECT * FROM otel.metric_points WHERE scope_name = %s ORDER BY time_unix_nano", name)
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in found:
        by_name.setdefault(row["metric_name"], []).append(row)
        assert row["resource_attributes"] == RESOURCE
        assert row["scope_version"] == "0.1"
        assert row["time_unix_nano"] > row["start_time_unix_nano"] >= 0

    warm = {row["attributes"]["room"]: row for row in by_name["temperature"]}
    assert warm["a"]["type"] == "gauge"
    assert (warm["a"]["unit"], warm["a"]["description"]) == ("Cel", "how warm it is")
    assert (warm["a"]["value"], warm["a"]["value_int"]) == (21.5, None)
    assert (warm["b"]["value"], warm["b"]["value_int"]) == (-3.0, -3)

    [requests] = by_name["requests"]
    assert (requests["type"], requests["temporality"], requests["is_monotonic"]) == ("sum", "CUMULATIVE", True)
    assert (requests["value_int"], requests["attributes"]) == (2**60, VALUES)
    [exemplar] = requests["exemplars"]
    context = span.get_span_context()
    assert (exemplar["trace_id"], exemplar["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert exemplar["value_int"] == 2**60

    [used] = by_name["in_use"]
    assert (used["type"], used["is_monotonic"], used["value_int"]) == ("sum", False, -4)

    [duration] = by_name["duration"]
    assert (duration["type"], duration["unit"]) == ("histogram", "s")
    assert duration["explicit_bounds"] == [0.5, 1.0]
    assert duration["bucket_counts"] == [2, 0, 1]
    assert (duration["count"], duration["sum"], duration["min"], duration["max"]) == (3, 7.75, 0.25, 7.0)
    [exemplar] = duration["exemplars"]
    assert exemplar["value"] == 0.25

    [grown] = by_name["exponential"]
    assert grown["type"] == "exponential_histogram"
    assert (grown["count"], grown["sum"], grown["zero_count"]) == (5, 1007.0, 1)
    assert sum(grown["positive_counts"]) == 4
    assert sum(grown["negative_counts"] or []) == 0
    base = 2.0 ** (2.0 ** -grown["scale"])
    for value in (1, 2, 4, 1000):
        place = math.ceil(math.log(value, base)) - 1 - grown["positive_offset"]
        assert grown["positive_counts"][place] >= 1


APPLICATION = """
import json, logging, sys, uuid
from otel_setup import checkpoint, configure_telemetry, flow, phase, shutdown_telemetry
configure_telemetry(service_name="orders-app", endpoint=sys.argv[1], protocol=sys.argv[2])
log = logging.getLogger("shop.orders")
with flow("order", flow_id=sys.argv[3], **{"order.id": 7}):
    log.info("accepted %s", "AAPL", extra={"symbol": "AAPL", "n": 3})
    with phase("validate"):
        log.warning({"reason": "price", "limit": 2.5})
        checkpoint("ORDER_ACCEPTED", symbol="AAPL")
    try:
        with phase("charge"):
            raise ValueError("card declined")
    except ValueError:
        log.exception("failed")
print(json.dumps(shutdown_telemetry(20)))
"""


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_otel_setup(receiver: Serving, protocol: str, tmp_path: Path) -> None:
    flow_id = uuid.uuid4()
    endpoint = f"http://{receiver.grpc}" if protocol == "grpc" else receiver.http
    done = subprocess.run(
        [sys.executable, "-c", APPLICATION, endpoint, protocol, str(flow_id)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=environment(XDG_STATE_HOME=str(tmp_path)),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) is True

    [flow] = receiver.rows("SELECT * FROM otel.flows WHERE flow_id = %s", flow_id)
    assert flow["trace_id"] == flow_id.hex
    assert (flow["name"], flow["span_count"], flow["error_count"], flow["complete"]) == ("order", 4, 1, True)
    assert flow["checkpoint_path"] == ["ORDER_ACCEPTED"]
    assert flow["services"] == ["orders-app"]

    spans = {row["name"]: row for row in receiver.rows("SELECT * FROM otel.spans WHERE flow_id = %s", flow_id)}
    assert set(spans) == {"order", "validate", "ORDER_ACCEPTED", "charge"}
    assert spans["order"]["parent_span_id"] is None
    assert spans["order"]["attributes"]["order.id"] == 7
    assert spans["validate"]["parent_span_id"] == spans["order"]["span_id"]
    assert spans["ORDER_ACCEPTED"]["parent_span_id"] == spans["validate"]["span_id"]
    assert spans["charge"]["status_code"] == "ERROR"

    phases = receiver.rows("SELECT phase FROM otel.phase_timing WHERE flow_id = %s ORDER BY start_time", flow_id)
    assert [row["phase"] for row in phases] == ["order", "validate", "charge"]
    [checkpoint] = receiver.rows("SELECT * FROM otel.checkpoints WHERE flow_id = %s", flow_id)
    assert checkpoint["attributes"]["symbol"] == "AAPL"

    logs = receiver.rows(
        "SELECT * FROM otel.logs WHERE flow_id = %s AND scope_name = 'shop.orders' ORDER BY time_unix_nano", flow_id
    )
    assert [(row["body"], row["level"]) for row in logs if row["body_value"] is None] == [
        ("accepted AAPL", "info"),
        ("failed", "error"),
    ]
    accepted, refused, failed = logs
    assert accepted["span_id"] == spans["order"]["span_id"]
    assert (accepted["attributes"]["symbol"], accepted["attributes"]["n"]) == ("AAPL", 3)
    assert refused["body_value"] == {"reason": "price", "limit": 2.5}
    assert refused["severity_number"] == SeverityNumber.WARN.value
    assert refused["span_id"] == spans["validate"]["span_id"]
    assert failed["attributes"]["exception.type"] == "ValueError"
    assert failed["attributes"]["exception.message"] == "card declined"
    assert "ValueError: card declined" in failed["attributes"]["exception.stacktrace"]
    assert all(row["uid"] is not None for row in logs)
