"""The answer table: every outcome, both transports, both encodings."""

import json
from typing import Any

import pytest
from google.protobuf.json_format import Parse
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otelgres.collector.otlp.status import Encoding, grpc_answer, http_answer
from otelgres.exporters.batch import Signal
from otelgres.exporters.outcome import Accepted, Invalid, Outcome, Overloaded, TooLarge, Unavailable

RESPONSES: dict[Signal, type[Message]] = {
    Signal.TRACES: ExportTraceServiceResponse,
    Signal.METRICS: ExportMetricsServiceResponse,
    Signal.LOGS: ExportLogsServiceResponse,
}
REJECTED = {
    Signal.TRACES: "rejected_spans",
    Signal.METRICS: "rejected_data_points",
    Signal.LOGS: "rejected_log_records",
}
ERRORS: list[tuple[Outcome, int, int]] = [
    (Invalid("no"), code_pb2.INVALID_ARGUMENT, 400),
    (TooLarge("big"), code_pb2.RESOURCE_EXHAUSTED, 413),
    (Overloaded(0.25, "busy"), code_pb2.RESOURCE_EXHAUSTED, 429),
    (Unavailable(2.5, "away"), code_pb2.UNAVAILABLE, 503),
]


def _status(body: bytes, encoding: Encoding) -> Any:
    status = status_pb2.Status()
    if encoding is Encoding.JSON:
        Parse(body, status)
    else:
        status.ParseFromString(body)
    return status


@pytest.mark.parametrize("signal", Signal)
def test_plain_success_leaves_partial_success_unset(signal: Signal) -> None:
    assert grpc_answer(signal, Accepted()).body == b""
    assert grpc_answer(signal, Accepted()).code == code_pb2.OK
    assert http_answer(signal, Accepted(), Encoding.PROTOBUF).body == b""
    assert http_answer(signal, Accepted(), Encoding.JSON).body == b"{}"
    assert http_answer(signal, Accepted(), Encoding.JSON).status == 200


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("outcome", [Accepted(3, "three had no id"), Accepted(0, "a warning"), Accepted(2)], ids=str)
def test_partial_success_counts_in_the_signal_s_own_field(signal: Signal, outcome: Accepted) -> None:
    bodies = [
        RESPONSES[signal].FromString(grpc_answer(signal, outcome).body),
        RESPONSES[signal].FromString(http_answer(signal, outcome, Encoding.PROTOBUF).body),
        Parse(http_answer(signal, outcome, Encoding.JSON).body, RESPONSES[signal]()),
    ]
    for body in bodies:
        partial = body.partial_success  # type: ignore[attr-defined]
        assert getattr(partial, REJECTED[signal]) == outcome.rejected
        assert partial.error_message == outcome.message


def test_json_counts_are_strings() -> None:
    body = http_answer(Signal.TRACES, Accepted(2, "x"), Encoding.JSON).body
    assert json.loads(body) == {"partialSuccess": {"rejectedSpans": "2", "errorMessage": "x"}}


@pytest.mark.parametrize(("outcome", "grpc_code", "_http"), ERRORS, ids=str)
def test_grpc_errors(outcome: Outcome, grpc_code: int, _http: int) -> None:
    answer = grpc_answer(Signal.LOGS, outcome)
    trailers = dict(answer.trailers)
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert (answer.code, answer.body) == (grpc_code, b"")
    assert (status.code, status.message) == (grpc_code, answer.details)
    names = [detail.TypeName() for detail in status.details]
    if isinstance(outcome, Overloaded | Unavailable):
        standard = error_details_pb2.RetryInfo()
        assert status.details[0].Unpack(standard)
        for info in (standard, error_details_pb2.RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"])):
            assert info.retry_delay.seconds + info.retry_delay.nanos / 1e9 == pytest.approx(outcome.retry_after)
    else:
        assert "google.rpc.RetryInfo" not in names
        assert "google.rpc.retryinfo-bin" not in trailers
    assert ("google.rpc.BadRequest" in names) == isinstance(outcome, Invalid)


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize(("outcome", "grpc_code", "http"), ERRORS, ids=str)
def test_http_errors(outcome: Outcome, grpc_code: int, http: int, encoding: Encoding) -> None:
    answer = http_answer(Signal.METRICS, outcome, encoding)
    headers = dict(answer.headers)
    status = _status(answer.body, encoding)
    assert answer.status == http
    assert headers[b"content-type"] == encoding.value.encode()
    assert status.code == grpc_code
    assert status.message == outcome.message
    assert (b"retry-after" in headers) == isinstance(outcome, Overloaded | Unavailable)
    if isinstance(outcome, Invalid):
        violation = error_details_pb2.BadRequest()
        assert status.details[0].Unpack(violation)
        assert violation.field_violations[0].description == "no"


@pytest.mark.parametrize(
    ("wait", "header", "grpc_wait"),
    [
        (0.0, b"1", 0.1),
        (-5.0, b"1", 0.1),
        (float("nan"), b"1", 0.1),
        (0.4, b"1", 0.4),
        (1.2, b"2", 1.2),
        (3.0, b"3", 3.0),
        (60.0, b"3", 3.0),
        (float("inf"), b"3", 3.0),
    ],
)
def test_waits_stay_within_what_clients_endure(wait: float, header: bytes, grpc_wait: float) -> None:
    for outcome in (Overloaded(wait, ""), Unavailable(wait, "")):
        assert dict(http_answer(Signal.LOGS, outcome, Encoding.JSON).headers)[b"retry-after"] == header
        trailer = dict(grpc_answer(Signal.LOGS, outcome).trailers)["google.rpc.retryinfo-bin"]
        delay = error_details_pb2.RetryInfo.FromString(trailer).retry_delay
        assert delay.seconds + delay.nanos / 1e9 == pytest.approx(grpc_wait)


@pytest.mark.parametrize("text", ["x", "\0", "é", "😀", "\ud800"], ids=ascii)
def test_long_messages_are_shortened(text: str) -> None:
    message = text * (10 * 1024 * 1024)
    for outcome in (Accepted(1, message), Invalid(message), Unavailable(1, message)):
        for encoding in Encoding:
            body = http_answer(Signal.TRACES, outcome, encoding).body
            assert len(body) < 4 * 1024 * 1024
        answer = grpc_answer(Signal.TRACES, outcome)
        assert len(answer.body) < 4 * 1024 * 1024
        # Percent-encoded details and base64 trailers, beside some ordinary ones, within the 8 KiB that clients take.
        escaped = sum(1 if " " <= c <= "~" and c != "%" else 3 * len(c.encode()) for c in answer.details)
        assert escaped + sum(len(name) + len(value) * 4 // 3 + 3 for name, value in answer.trailers) < 7 * 1024
