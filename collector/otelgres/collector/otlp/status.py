"""The OTLP/gRPC and OTLP/HTTP status of each outcome.

No other module chooses a status: with a wrong one (HTTP 500, RESOURCE_EXHAUSTED without RetryInfo) clients drop data.
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

import orjson
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import BadRequest, RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otelgres.collector.outcomes import (
    Answerable,
    MethodNotAllowed,
    NotFound,
    PermissionDenied,
    Rejection,
    Unauthenticated,
    Unsupported,
)
from otelgres.exporters.batch import Signal
from otelgres.exporters.outcome import Accepted, Invalid, Overloaded, TooLarge, Unavailable

# Seconds. SDK exporters have 10 s for a batch, and drop it at once if the retry delay is longer than the time left.
LONGEST_WAIT = 3.0
SHORTEST_WAIT = 0.1

# A response may have 4 MiB. 64 KiB of text is far below that, also in JSON, where a byte can take six.
BODY_MESSAGE_BYTES = 64 * 1024
# gRPC sends an error in trailers, of which clients accept 8 KiB: percent-encoding can triple the text, and
# grpc-status-details-bin repeats it in base64.
TRAILER_MESSAGE_BYTES = 1024


class Encoding(Enum):
    """The two encodings of OTLP/HTTP; the value is the media type. A response has the encoding of its request."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


@dataclass(frozen=True, slots=True)
class GrpcAnswer:
    """``code`` is the number of ``google.rpc.Code``; with OK (0) only ``body`` is used, otherwise only the others."""

    code: int
    details: str = ""
    trailers: tuple[tuple[str, bytes], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """``headers`` are lower-case names and values for ASGI; the server adds Content-Length."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


_PLAIN_GRPC = GrpcAnswer(code_pb2.OK)
_PLAIN_HTTP = {
    Encoding.PROTOBUF: HttpAnswer(200, ((b"content-type", b"application/x-protobuf"),), b""),
    Encoding.JSON: HttpAnswer(200, ((b"content-type", b"application/json"),), b"{}"),
}
_REJECTED_KEY = {
    Signal.TRACES: "rejectedSpans",
    Signal.METRICS: "rejectedDataPoints",
    Signal.LOGS: "rejectedLogRecords",
}


def grpc_answer(signal: Signal, outcome: Answerable) -> GrpcAnswer:
    """The status, trailers and response bytes of an Export call."""
    if isinstance(outcome, Accepted):
        if _is_plain(outcome):
            return _PLAIN_GRPC
        return GrpcAnswer(code_pb2.OK, body=_partial_protobuf(signal, outcome))
    return grpc_rejection(outcome)


def grpc_rejection(outcome: Rejection) -> GrpcAnswer:
    """The status and trailers of a rejected call."""
    status = _status(outcome, TRAILER_MESSAGE_BYTES)
    # The first trailer is the standard one; the Python exporter reads only the second.
    trailers = [("grpc-status-details-bin", status.SerializeToString())]
    if isinstance(outcome, Overloaded | Unavailable):
        trailers.append(("google.rpc.retryinfo-bin", _retry_info(outcome.retry_after).SerializeToString()))
    return GrpcAnswer(status.code, status.message, tuple(trailers))


def http_answer(signal: Signal, outcome: Answerable, encoding: Encoding) -> HttpAnswer:
    """Status, headers and body for a POST, the body in ``encoding``."""
    if isinstance(outcome, Accepted):
        if _is_plain(outcome):
            return _PLAIN_HTTP[encoding]
        partial = _partial_json if encoding is Encoding.JSON else _partial_protobuf
        return HttpAnswer(200, _PLAIN_HTTP[encoding].headers, partial(signal, outcome))
    return http_rejection(outcome, encoding)


def http_rejection(outcome: Rejection, encoding: Encoding) -> HttpAnswer:
    """Status, headers and body for a rejected request or page."""
    status = _status(outcome, BODY_MESSAGE_BYTES)
    headers = _PLAIN_HTTP[encoding].headers
    if isinstance(outcome, Overloaded | Unavailable):
        # Whole seconds, as the header has no fractions; at least 1, so that clients do wait.
        wait = max(1, math.ceil(_wait(outcome.retry_after)))
        headers = (*headers, (b"retry-after", str(wait).encode()))
    if isinstance(outcome, Unauthenticated | PermissionDenied):
        headers = (*headers, (b"www-authenticate", _challenge(outcome)))
    if isinstance(outcome, MethodNotAllowed):
        headers = (*headers, (b"allow", outcome.allow.encode()))
    if isinstance(outcome, Unsupported) and outcome.accept_encoding:
        headers = (*headers, (b"accept-encoding", outcome.accept_encoding.encode()))
    as_json = encoding is Encoding.JSON
    body = orjson.dumps(json_format.MessageToDict(status)) if as_json else status.SerializeToString()
    return HttpAnswer(_http_code(outcome), headers, body)


def _is_plain(outcome: Accepted) -> bool:
    # By the protocol partial_success is unset, not empty, if everything was accepted without a message.
    return outcome.rejected == 0 and not outcome.message


def _http_code(outcome: Rejection) -> int:
    match outcome:
        case Invalid():
            return 400
        case TooLarge():
            return 413
        case Overloaded():
            return 429
        case Unavailable():
            return 503
        case Unauthenticated():
            return 401
        case PermissionDenied():
            return 403
        case NotFound():
            return 404
        case MethodNotAllowed():
            return 405
        case Unsupported():
            return 415
        case _:
            assert_never(outcome)


def _status(outcome: Rejection, message_bytes: int) -> Status:
    message = _shortened(outcome.message, message_bytes)
    match outcome:
        case Invalid():
            status = Status(code=code_pb2.INVALID_ARGUMENT, message=message)
            violation = BadRequest.FieldViolation(description=message)
            status.details.add().Pack(BadRequest(field_violations=[violation]))
        case TooLarge():
            # Without RetryInfo on purpose: for this code that means "do not retry" in the protocol.
            status = Status(code=code_pb2.RESOURCE_EXHAUSTED, message=message)
        case Overloaded():
            status = Status(code=code_pb2.RESOURCE_EXHAUSTED, message=message)
            status.details.add().Pack(_retry_info(outcome.retry_after))
        case Unavailable():
            status = Status(code=code_pb2.UNAVAILABLE, message=message)
            status.details.add().Pack(_retry_info(outcome.retry_after))
        case Unauthenticated():
            status = Status(code=code_pb2.UNAUTHENTICATED, message=message)
        case PermissionDenied():
            status = Status(code=code_pb2.PERMISSION_DENIED, message=message)
        case NotFound() | MethodNotAllowed():
            status = Status(code=code_pb2.UNIMPLEMENTED, message=message)
        case Unsupported():
            status = Status(code=code_pb2.INVALID_ARGUMENT, message=message)
        case _:
            assert_never(outcome)
    return status


def _challenge(outcome: Unauthenticated | PermissionDenied) -> bytes:
    # RFC 6750: the error code is only sent if the request had a token.
    if isinstance(outcome, PermissionDenied):
        return b'Bearer realm="otelgres", error="insufficient_scope"'
    return b'Bearer realm="otelgres"' + (b', error="invalid_token"' if outcome.shown else b"")


def _wait(seconds: float) -> float:
    # Written so that NaN becomes the shortest wait too.
    return min(seconds, LONGEST_WAIT) if seconds > SHORTEST_WAIT else SHORTEST_WAIT


def _retry_info(seconds: float) -> RetryInfo:
    whole, fraction = divmod(round(_wait(seconds) * 1000), 1000)
    return RetryInfo(retry_delay=Duration(seconds=whole, nanos=fraction * 1_000_000))


def _shortened(message: str, limit: int) -> str:
    # The text may contain lone surrogates, which protobuf rejects.
    encoded = message.encode("utf-8", "replace")
    if len(encoded) > limit:
        return encoded[: limit - 3].decode("utf-8", "ignore") + "…"
    return encoded.decode()


def _partial_protobuf(signal: Signal, outcome: Accepted) -> bytes:
    message = _shortened(outcome.message, BODY_MESSAGE_BYTES)
    match signal:
        case Signal.TRACES:
            traces = ExportTraceServiceResponse()
            traces.partial_success.rejected_spans = outcome.rejected
            traces.partial_success.error_message = message
            return traces.SerializeToString()
        case Signal.METRICS:
            metrics = ExportMetricsServiceResponse()
            metrics.partial_success.rejected_data_points = outcome.rejected
            metrics.partial_success.error_message = message
            return metrics.SerializeToString()
        case Signal.LOGS:
            logs = ExportLogsServiceResponse()
            logs.partial_success.rejected_log_records = outcome.rejected
            logs.partial_success.error_message = message
            return logs.SerializeToString()
        case _:
            assert_never(signal)


def _partial_json(signal: Signal, outcome: Accepted) -> bytes:
    partial: dict[str, str] = {}
    if outcome.rejected:
        partial[_REJECTED_KEY[signal]] = str(outcome.rejected)  # int64 is a string in OTLP/JSON
    if outcome.message:
        partial["errorMessage"] = _shortened(outcome.message, BODY_MESSAGE_BYTES)
    return orjson.dumps({"partialSuccess": partial})
