"""What an OTLP receiver's answer means for the batch: the one table from statuses of gRPC and HTTP to ``Outcome``.

Where an answer speaks of the door and not of the data (a token that is missing or spent, a redirect), the batch is told
to come back: dropping telemetry because a token ran out would lose what a new one can still deliver. Refuses to know
sockets.
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
_GRPC_AGAIN: Final = frozenset(
    {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
)
_GRPC_DOOR: Final = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})
_HTTP_AGAIN: Final = frozenset({502, 503, 504})
_HTTP_DOOR: Final = frozenset({401, 403, 407})
_LONGEST_MESSAGE: Final = 300


def taken(signal: Signal, body: bytes) -> Accepted:
    """The answer to a request that was taken, at least in part; ``body`` is the protobuf response."""
    message, rejected = _RESPONSES[signal]
    try:
        partial = message.FromString(body).partial_success
    except DecodeError:
        return Accepted()
    return Accepted(max(0, getattr(partial, rejected)), partial.error_message)


def of_grpc(code: str, details: str, trailers: Mapping[str, bytes | str]) -> Outcome:
    """The answer to a call that failed; ``code`` is the name of the status."""
    message = _short(f"{code}: {details}")
    wait = _retry_info(trailers)
    if code == "RESOURCE_EXHAUSTED":
        # Without RetryInfo it means "never": that is how the protocol tells the two apart.
        return TooLarge(message) if wait is None else Overloaded(wait, message)
    if code in _GRPC_AGAIN or code in _GRPC_DOOR:
        return Unavailable(RETRY_AFTER if wait is None else wait, message)
    return Invalid(message)


def of_http(signal: Signal, status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """The answer to a POST. ``headers`` are looked up case-insensitively by their holder."""
    protobuf = headers.get("content-type", "").partition(";")[0].strip().lower() == "application/x-protobuf"
    if 200 <= status < 300:
        return taken(signal, body) if protobuf else Accepted()
    message = _short(f"HTTP {status}: {_said(body, protobuf)}")
    wait = _retry_after(headers.get("retry-after", ""))
    if status == 429:
        return Overloaded(wait, message)
    # A redirect is not followed: most of them would turn the POST into a GET, and the batch into nothing.
    if status in _HTTP_AGAIN or status in _HTTP_DOOR or 300 <= status < 400:
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


def _said(body: bytes, protobuf: bool) -> str:
    if protobuf:
        try:
            return str(Status.FromString(body).message)
        except DecodeError:
            return ""
    return body[:_LONGEST_MESSAGE].decode("utf-8", "replace")


def _short(message: str) -> str:
    message = " ".join(message.split())
    return message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"
