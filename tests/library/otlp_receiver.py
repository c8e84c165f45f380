"""A real OTLP receiver (gRPC and HTTP on free loopback ports) and real application processes."""

import gzip
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

REQUESTS: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
METHODS = {
    f"/opentelemetry.proto.collector.{package}.v1.{service}/Export": signal
    for signal, package, service in (
        ("traces", "trace", "TraceService"),
        ("metrics", "metrics", "MetricsService"),
        ("logs", "logs", "LogsService"),
    )
}
DEADLINE = 60.0
ROOT = Path(__file__).resolve().parents[2]


def plain(value: AnyValue) -> Any:
    """An AnyValue as the Python value it stands for."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {item.key: plain(item.value) for item in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def attributes(holder: Any) -> dict[str, Any]:
    """The attributes of a span, log record, event, point or resource."""
    return {item.key: plain(item.value) for item in holder.attributes}


class Receiver:
    """Takes all three signals on both transports and keeps them in the order of arrival.

    ``refuse`` makes it answer UNAVAILABLE / 503 instead, ``refuse_for_good`` 404 (HTTP only).
    Between ``hold`` and ``release`` it answers nothing.
    """

    def __init__(self) -> None:
        self.received: list[tuple[str, Any, dict[str, str]]] = []
        self.refuse = False
        self.refuse_for_good = False
        self.refused = 0
        self.held = 0
        self._holding = False
        self.changed = threading.Condition()
        self._threads = ThreadPoolExecutor(8)
        self._grpc = grpc.server(self._threads, handlers=[self._generic_handler()], options=[("grpc.so_reuseport", 0)])
        self.grpc_port: int = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._http_handler())
        self.http_port: int = self._http.server_port
        self._http_thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self._http_thread.start()

    @property
    def grpc_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.grpc_port}"

    @property
    def http_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http_thread.join()
        self._http.server_close()
        self._grpc.stop(None).wait()
        self._threads.shutdown()

    def resources(self, signal: str) -> list[tuple[Any, Any]]:
        """(resource attributes, ResourceSpans / ResourceLogs / ResourceMetrics) of everything that arrived."""
        with self.changed:
            requests = [request for kind, request, _ in self.received if kind == signal]
        return [
            (attributes(group.resource), group)
            for request in requests
            for group in getattr(request, "resource_spans" if signal == "traces" else f"resource_{signal}")
        ]

    def spans(self) -> list[Any]:
        return [span for _, group in self.resources("traces") for scope in group.scope_spans for span in scope.spans]

    def span(self, name: str) -> Any:
        (found,) = [span for span in self.spans() if span.name == name]
        return found

    def all_logs(self) -> list[Any]:
        return [log for _, group in self.resources("logs") for scope in group.scope_logs for log in scope.log_records]

    def logs(self) -> list[Any]:
        """Log records that are not start records."""
        return [log for log in self.all_logs() if not log.event_name]

    def starts(self) -> list[Any]:
        return [log for log in self.all_logs() if log.event_name == "otelgres.span.start"]

    def bodies(self) -> list[Any]:
        return [plain(log.body) for log in self.logs()]

    def wait(self, condition: Callable[[], bool]) -> None:
        """Returns when ``condition()`` holds; it is looked at again whenever something arrives."""
        until = time.monotonic() + DEADLINE
        with self.changed:
            while not condition():
                remaining = until - time.monotonic()
                assert remaining > 0, f"not in time; received {[kind for kind, _, _ in self.received]}"
                self.changed.wait(min(remaining, 0.5))

    def hold(self) -> None:
        with self.changed:
            self._holding = True

    def release(self) -> None:
        with self.changed:
            self._holding = False
            self.changed.notify_all()

    def _take(self, signal: str, payload: bytes, headers: dict[str, str]) -> bool:
        with self.changed:
            if self._holding:
                self.held += 1
                self.changed.notify_all()
                self.changed.wait_for(lambda: not self._holding, DEADLINE)
            if self.refuse:
                self.refused += 1
            else:
                self.received.append((signal, REQUESTS[signal].FromString(payload), headers))
            self.changed.notify_all()
            return not self.refuse

    def _generic_handler(self) -> Any:
        receiver = self

        class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
            def service(self, details: Any) -> Any:
                signal = METHODS.get(details.method)
                if signal is None:
                    return None

                def export(payload: bytes, context: Any) -> bytes:
                    if not receiver._take(signal, payload, dict(context.invocation_metadata())):
                        context.abort(grpc.StatusCode.UNAVAILABLE, "told to refuse")
                    return b""

                return grpc.unary_unary_rpc_method_handler(export)

        return Handler()

    def _http_handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                payload = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    payload = gzip.decompress(payload)
                headers = {name.lower(): value for name, value in self.headers.items()}
                signal = self.path.removeprefix("/v1/")
                try:
                    taken = signal in REQUESTS and receiver._take(signal, payload, headers)
                    self.send_response(404 if receiver.refuse_for_good else 200 if taken else 503)
                except DecodeError:
                    self.send_response(400)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Quiet."""

        return Handler


def unused_port() -> int:
    """A port where nothing listens. Something else might take it; on loopback in this instant nothing does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def app_environment(**variables: str) -> dict[str, str]:
    """This process's environment without its OTEL* variables, with ``variables`` and the project importable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL")}
    return {**kept, "PYTHONPATH": str(ROOT), **variables}


@contextmanager
def app(source: str, *arguments: object, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """A real Python process that runs ``source`` with ``arguments`` as ``sys.argv[1:]``; gone afterwards.

    It has a spool folder of its own, unless ``variables`` say otherwise.
    """
    spool = tempfile.TemporaryDirectory(prefix="otelgres-tests-telemetry-")
    variables = {"OTELGRES_TELEMETRY_SPOOL": spool.name, **variables}
    process = subprocess.Popen(
        [sys.executable, "-c", source, *map(str, arguments)],
        env=app_environment(**variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
        spool.cleanup()


def run_app(source: str, *arguments: object, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Runs ``source`` to its end and checks that it ended well."""
    with app(source, *arguments, **variables) as process:
        out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, err
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
