"""One attempt to deliver one request over each transport, with the answer classified by OTLP's retry tables."""

import http.client
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

import grpc  # type: ignore[import-untyped]
import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otelgres.exporters.batch import Signal
from otelgres.exporters.otlp_json import request_to_json

CALL_SECONDS: Final = 10.0
_LONGEST_MESSAGE: Final = 200
_PACKAGE: Final = "opentelemetry.proto.collector"
_METHODS: Final = {
    Signal.TRACES: f"/{_PACKAGE}.trace.v1.TraceService/Export",
    Signal.METRICS: f"/{_PACKAGE}.metrics.v1.MetricsService/Export",
    Signal.LOGS: f"/{_PACKAGE}.logs.v1.LogsService/Export",
}
_RESPONSES: Final[dict[Signal, Any]] = {
    Signal.TRACES: ExportTraceServiceResponse,
    Signal.METRICS: ExportMetricsServiceResponse,
    Signal.LOGS: ExportLogsServiceResponse,
}
_REJECTED: Final = {
    Signal.TRACES: ("rejected_spans", "rejectedSpans"),
    Signal.METRICS: ("rejected_data_points", "rejectedDataPoints"),
    Signal.LOGS: ("rejected_log_records", "rejectedLogRecords"),
}
_AGAIN_CODES: Final = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
_AGAIN_STATUSES: Final = {429, 502, 503, 504}
_RETRY_INFO: Final = "google.rpc.retryinfo-bin"
# A killed receiver is back in a second; the default reconnect backoff of grpc would take most of the run.
_CHANNEL_OPTIONS: Final = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.enable_retries", 0),
]


class Answer(NamedTuple):
    """``final``: not retryable. ``accepted``: acknowledged, except ``rejected`` items. ``status``: as text."""

    final: bool
    accepted: bool
    rejected: int
    status: str
    message: str = ""


class ChaosTransport(Protocol):
    """A connection to a receiver; ``encoding`` determines the bytes on the wire. Not thread-safe."""

    encoding: str

    def send(self, signal: Signal, payload: bytes) -> Answer: ...

    def close(self) -> None: ...


class Grpc:
    """OTLP/gRPC."""

    encoding = "protobuf"

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address, options=_CHANNEL_OPTIONS)
        self._calls = {signal: self._channel.unary_unary(method) for signal, method in _METHODS.items()}

    def send(self, signal: Signal, payload: bytes) -> Answer:
        """Makes one Export call."""
        try:
            body = self._calls[signal](payload, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            code = error.code().name
            has_retry_info = any(key == _RETRY_INFO for key, _ in error.trailing_metadata() or ())
            again = code in _AGAIN_CODES or (code == "RESOURCE_EXHAUSTED" and has_retry_info)
            return Answer(not again, accepted=False, rejected=0, status=f"grpc {code}", message=error.details() or "")
        return _accepted("grpc OK", _rejected(signal, body))

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()


class Http:
    """OTLP/HTTP with protobuf or, with ``as_json``, JSON."""

    def __init__(self, address: str, *, as_json: bool) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=CALL_SECONDS)
        self._as_json = as_json
        self.encoding = "json" if as_json else "protobuf"

    def send(self, signal: Signal, payload: bytes) -> Answer:
        """Makes one POST."""
        body = payload
        if self._as_json:
            with suppress(ValueError):  # malformed bytes are sent unchanged
                body = request_to_json(signal, payload)
        headers = {"Content-Type": "application/json" if self._as_json else "application/x-protobuf"}
        try:
            self._connection.request("POST", f"/v1/{signal.value}", body, headers)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return Answer(final=False, accepted=False, rejected=0, status=f"http {type(error).__name__}")
        status = f"http {response.status}"
        if response.status == http.client.OK:
            rejected = _rejected_json(signal, answer) if self._as_json else _rejected(signal, answer)
            return _accepted(status, rejected)
        message = answer[:_LONGEST_MESSAGE].decode(errors="replace")
        final = response.status not in _AGAIN_STATUSES
        return Answer(final, accepted=False, rejected=0, status=status, message=message)

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


def _accepted(status: str, rejected: int) -> Answer:
    return Answer(final=True, accepted=True, rejected=rejected, status=status + (" partial" if rejected else ""))


def _rejected(signal: Signal, body: bytes) -> int:
    partial = _RESPONSES[signal].FromString(body).partial_success
    return int(getattr(partial, _REJECTED[signal][0]))


def _rejected_json(signal: Signal, body: bytes) -> int:
    return int(orjson.loads(body or b"{}").get("partialSuccess", {}).get(_REJECTED[signal][1], 0))
