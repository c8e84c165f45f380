"""Maps the answer of an OTLP receiver (a gRPC or HTTP status) to an ``Outcome``.

Authentication errors and redirects are retryable, because they say nothing about the data: a batch must not be dropped
because a token has expired.
"""

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otelgres.exporters.batch import Signal
from otelgres.exporters.outcome import Accepted, Invalid, Outcome, Overloaded, TooLarge, Unavailable

RETRY_AFTER: Final = 1.0
_RESPONSES: Final[dict[Signal, tuple[Any, str]]] = {
    Signal.TRACES: (ExportTraceServiceResponse, "rejected_spans"),
    Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points"),
    Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records"),
}
_GRPC_RETRYABLE: Final = frozenset(
    {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
)
_GRPC_AUTHENTICATION: Final = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})
_HTTP_RETRYABLE: Final = frozenset({502, 503, 504})
_HTTP_AUTHENTICATION: Final = frozenset({401, 403, 407})
_LONGEST_MESSAGE: Final = 300


def taken(signal: Signal, body: bytes) -> Accepted:
    """The outcome of a request that was accepted, at least in part; ``body`` is the protobuf response."""
    message, rejected = _RESPONSES[signal]
    try:
        partial = message.FromString(body).partial_success
    except DecodeError:
        return Accepted()
    return Accepted(max(0, getattr(partial, rejected)), partial.error_message)


def of_grpc(code: str, details: str, trailers: Mapping[str, bytes | str]) -> Outcome:
    """The outcome of a failed gRPC call; ``code`` is the name of the status code."""
    message = _short(f"{code}: {details}")
    wait = _retry_info(trailers)
    if code == "RESOURCE_EXHAUSTED":
        # By the OTLP specification, RESOURCE_EXHAUSTED is retryable only with RetryInfo.
        return TooLarge(message) if wait is None else Overloaded(wait, message)
    if code in _GRPC_RETRYABLE or code in _GRPC_AUTHENTICATION:
        return Unavailable(RETRY_AFTER if wait is None else wait, message)
    return Invalid(message)


def of_http(signal: Signal, status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """The outcome of a POST. ``headers`` must be a case-insensitive mapping."""
    protobuf = headers.get("content-type", "").partition(";")[0].strip().lower() == "application/x-protobuf"
    if 200 <= status < 300:
        return taken(signal, body) if protobuf else Accepted()
    message = _short(f"HTTP {status}: {_message(body, protobuf)}")
    wait = _retry_after(headers.get("retry-after", ""))
    if status == 429:
        return Overloaded(wait, message)
    # A redirect is not followed: most redirects turn a POST into a GET without a body.
    if status in _HTTP_RETRYABLE or status in _HTTP_AUTHENTICATION or 300 <= status < 400:
        return Unavailable(wait, message)
    return TooLarge(message) if status == 413 else Invalid(message)


def _retry_info(trailers: Mapping[str, bytes | str]) -> float | None:
    try:
        raw = trailers.get("google.rpc.retryinfo-bin")
        if isinstance(raw, bytes):
            return _seconds(RetryInfo.FromString(raw))
        raw = trailers.get("grpc-status-details-bin")
        if isinstance(raw, bytes):
            for detail in Status.FromString(raw).details:
                info = RetryInfo()
                if detail.Unpack(info):
                    return _seconds(info)
    except DecodeError:
        pass
    return None


def _seconds(info: Any) -> float:
    return max(0.0, float(info.retry_delay.seconds) + float(info.retry_delay.nanos) / 1e9)


def _retry_after(value: str) -> float:
    try:
        seconds = float(value)
        return seconds if math.isfinite(seconds) and seconds >= 0 else RETRY_AFTER
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return RETRY_AFTER


def _message(body: bytes, protobuf: bool) -> str:
    if protobuf:
        try:
            return str(Status.FromString(body).message)
        except DecodeError:
            return ""
    return body[:_LONGEST_MESSAGE].decode("utf-8", "replace")


def _short(message: str) -> str:
    message = " ".join(message.split())
    return message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"
