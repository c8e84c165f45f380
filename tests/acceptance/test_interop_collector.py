"""The stock OpenTelemetry Collector, built from its Go modules, with our otel-collector.yaml in front of the receiver.

Building takes minutes, once: the program is kept in the user's cache folder. Run it with ``make test-interop``.
"""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otelgres.collector.embedded import Cluster
from tests import postgres
from tests.acceptance.receiver_process import OtelgresProcess, environment, rows, serve
from tests.waiting import TIMEOUT, until

CONFIG = Path(__file__).parents[2] / "otel-collector.yaml"
MANIFEST = Path(__file__).with_name("collector_build") / "manifest.yaml"
BUILDER = "go.opentelemetry.io/collector/cmd/builder@v0.162.0"
BUILD_SECONDS = 1500.0
# The Collector waits up to 30 s between tries.
LONG_TIMEOUT = 90.0

pytestmark = [
    pytest.mark.interop,
    pytest.mark.timeout(BUILD_SECONDS + 300),
    pytest.mark.skipif(shutil.which("go") is None, reason="go, with which the Collector is built, is not on PATH"),
]


@pytest.fixture(scope="module")
def otelcol() -> Path:
    """The Collector's program, built once for each version of the manifest."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otelgres-interop"
    program = caches / f"otelcol-{hashlib.sha256(MANIFEST.read_bytes()).hexdigest()[:12]}"
    if not program.exists():
        caches.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=caches) as folder:
            shutil.copy(MANIFEST, folder)
            build = ["go", "run", BUILDER, "--config", MANIFEST.name]
            done = subprocess.run(build, cwd=folder, capture_output=True, text=True, timeout=BUILD_SECONDS)
            assert done.returncode == 0, done.stderr
            (Path(folder) / "build" / "otelcol").rename(program)
    return program


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


class Stock:
    """A Collector that can be killed and started again: same addresses, same queue."""

    def __init__(self, program: Path, queue: Path, otelgres: str) -> None:
        self._program = program
        self._log = queue.with_suffix(".log")
        self.grpc, self.http, health, metrics = (free_address() for _ in range(4))
        self._health = f"http://{health}"
        self.environ = environment(
            OTELCOL_GRPC_ENDPOINT=self.grpc,
            OTELCOL_HTTP_ENDPOINT=self.http,
            OTELCOL_HEALTH_ENDPOINT=health,
            OTELCOL_METRICS_HOST="127.0.0.1",
            OTELCOL_METRICS_PORT=metrics.rpartition(":")[2],
            OTELCOL_QUEUE_DIRECTORY=str(queue),
            OTELCOL_OTELGRES_ENDPOINT=otelgres,
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "--config", CONFIG], env=self.environ, stdout=log, stderr=log, start_new_session=True
            )
        until(self._healthy, f"the Collector, whose log is {self._log}")

    def end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(TIMEOUT)
            self._process = None

    def _healthy(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            return httpx.get(self._health).status_code == 200
        except httpx.TransportError:
            return False


class Ours:
    """A receiver that can be killed and started again: same addresses, same database."""

    def __init__(self, dsn: str, spool: Path) -> None:
        self.dsn = dsn
        self.grpc = free_address()
        self._spool = spool
        self._process: OtelgresProcess | None = None

    def start(self) -> None:
        self._process = serve(self.dsn, str(self._spool), "--grpc", self.grpc)
        self._process.ready()

    def end(self, number: int) -> None:
        if self._process is not None:
            self._process.stop(number)
            self._process.__exit__()
            self._process = None


@pytest.fixture
def ours(cluster: Cluster, migrated: str, tmp_path: Path) -> Iterator[Ours]:
    """A running receiver on a database of its own."""
    with postgres.new_database(cluster, migrated) as dsn:
        receiver = Ours(dsn, tmp_path / "spool")
        receiver.start()
        yield receiver
        receiver.end(signal.SIGTERM)


@pytest.fixture
def stock(otelcol: Path, ours: Ours, tmp_path: Path) -> Iterator[Stock]:
    """A running Collector that sends to ``ours``."""
    collector = Stock(otelcol, tmp_path / "queue", ours.grpc)
    try:
        collector.start()
        yield collector
    finally:
        collector.end(signal.SIGKILL)


def test_the_file_is_valid(otelcol: Path) -> None:
    done = subprocess.run(
        [otelcol, "validate", "--config", CONFIG], capture_output=True, text=True, timeout=TIMEOUT, env=environment()
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_all_three_signals_come_through(stock: Stock, ours: Ours, protocol: str) -> None:
    target = {"endpoint": f"http://{stock.grpc}"}
    exporters: tuple[Any, Any, Any] = (GrpcSpanExporter, GrpcLogExporter, GrpcMetricExporter)
    if protocol == "http":
        exporters = (HttpSpanExporter, HttpLogExporter, HttpMetricExporter)
    targets = [
        {"endpoint": f"http://{stock.http}/v1/{signal}"} if protocol == "http" else target
        for signal in ("traces", "logs", "metrics")
    ]
    spans, logs, metrics = (kind(**where) for kind, where in zip(exporters, targets, strict=True))
    resource = Resource({"service.name": "orders", "replicas": 3})
    values: dict[str, Any] = {"text": "GET ☃", "int": 2**62, "double": 3.0, "yes": True, "texts": ["a", "b"]}

    tracing = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    span = tracing.get_tracer("shop").start_span("GET /orders", attributes=values)
    span.end()
    logging = LoggerProvider(resource=resource, shutdown_on_exit=False)
    logging.add_log_record_processor(SimpleLogRecordProcessor(logs))
    logging.get_logger("shop").emit(
        severity_number=SeverityNumber.WARN, body={"reason": "price", "limit": 2.5}, attributes=values
    )
    reader = PeriodicExportingMetricReader(metrics, export_interval_millis=float("inf"))
    metering = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    metering.get_meter("shop").create_counter("requests").add(2**60, values)
    metering.get_meter("shop").create_histogram("duration").record(0.25)
    assert metering.force_flush()
    for provider in (tracing, logging, metering):
        provider.shutdown()

    def found(view: str) -> list[dict[str, Any]]:
        return rows(ours.dsn, f"SELECT * FROM otel.{view}")

    until(lambda: found("spans") and found("logs") and len(found("metric_points")) == 2, "all three signals")
    [stored] = found("spans")
    context = span.get_span_context()
    assert (stored["trace_id"], stored["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert (stored["name"], stored["attributes"]) == ("GET /orders", values)
    assert stored["resource_attributes"] == {"service.name": "orders", "replicas": 3}
    [record] = found("logs")
    assert (record["body_value"], record["level"]) == ({"reason": "price", "limit": 2.5}, "warn")
    assert record["attributes"] == values
    points = {point["metric_name"]: point for point in found("metric_points")}
    assert (points["requests"]["value_int"], points["requests"]["attributes"]) == (2**60, values)
    assert (points["duration"]["count"], points["duration"]["sum"]) == (1, 0.25)


class Senders:
    """Sends spans and log records through the Collector, each acknowledged before the next."""

    def __init__(self, stock: Stock) -> None:
        self._tracing = TracerProvider(shutdown_on_exit=False)
        self._tracing.add_span_processor(SimpleSpanProcessor(GrpcSpanExporter(endpoint=f"http://{stock.grpc}")))
        self._logging = LoggerProvider(shutdown_on_exit=False)
        self._logging.add_log_record_processor(
            SimpleLogRecordProcessor(GrpcLogExporter(endpoint=f"http://{stock.grpc}"))
        )
        self.spans: set[str] = set()
        self.records: set[str] = set()

    def send(self, count: int) -> None:
        tracer, logger = self._tracing.get_tracer("shop"), self._logging.get_logger("shop")
        for number in range(count):
            span = tracer.start_span(f"order {number}")
            span.end()
            self.spans.add(f"{span.get_span_context().span_id:016x}")
            uid = str(uuid.uuid4())
            logger.emit(body=f"order {number}", attributes={"log.record.uid": uid})
            self.records.add(uid)


def assert_each_once(ours: Ours, sent: Senders) -> None:
    def spans() -> list[str]:
        return [row["span_id"] for row in rows(ours.dsn, "SELECT span_id FROM otel.spans")]

    def records() -> list[str]:
        found = rows(ours.dsn, "SELECT attributes ->> 'log.record.uid' AS uid FROM otel.logs")
        return [row["uid"] for row in found]

    until(lambda: sent.spans <= set(spans()), "all spans", LONG_TIMEOUT)
    until(lambda: sent.records <= set(records()), "all log records", LONG_TIMEOUT)
    assert sorted(spans()) == sorted(sent.spans)
    assert sorted(records()) == sorted(sent.records)


def test_data_sent_while_the_receiver_is_down_arrives_once(stock: Stock, ours: Ours) -> None:
    sent = Senders(stock)
    sent.send(20)
    ours.end(signal.SIGKILL)  # with some of those 20 on their way
    sent.send(20)
    ours.start()
    sent.send(20)
    assert_each_once(ours, sent)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_collector_that_is_restarted_keeps_its_queue(stock: Stock, ours: Ours, end: signal.Signals) -> None:
    sent = Senders(stock)
    sent.send(10)
    ours.end(signal.SIGKILL)
    sent.send(30)
    stock.end(end)
    ours.start()
    stock.start()
    sent.send(10)
    assert_each_once(ours, sent)
