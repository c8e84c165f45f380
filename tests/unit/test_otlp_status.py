"""What an OTLP receiver's answer means for a batch, status by status, and that it is the inverse of our receiver's."""

from email.utils import formatdate
from time import time

import pytest
from google.rpc import code_pb2  # type: ignore[import-untyped]
from requests.structures import CaseInsensitiveDict

from otelgres.collector.otlp.status import Encoding, grpc_answer, http_answer
from otelgres.exporters.batch import Signal
from otelgres.exporters.otlp_status import of_grpc, of_http, taken
from otelgres.exporters.outcome import Accepted, Invalid, Outcome, Overloaded, TooLarge, Unavailable


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("UNAVAILABLE", Unavailable), ("DEADLINE_EXCEEDED", Unavailable), ("CANCELLED", Unavailable),
        ("ABORTED", Unavailable), ("OUT_OF_RANGE", Unavailable), ("DATA_LOSS", Unavailable),
        ("UNAUTHENTICATED", Unavailable), ("PERMISSION_DENIED", Unavailable),
        ("INVALID_ARGUMENT", Invalid), ("UNIMPLEMENTED", Invalid), ("INTERNAL", Invalid), ("UNKNOWN", Invalid),
        ("RESOURCE_EXHAUSTED", TooLarge),
    ],
)  # fmt: skip
def test_grpc_statuses(code: str, kind: type[Outcome]) -> None:
    assert type(of_grpc(code, "why", {})) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, Overloaded), (502, Unavailable), (503, Unavailable), (504, Unavailable), (401, Unavailable),
        (403, Unavailable), (302, Unavailable), (400, Invalid), (404, Invalid), (500, Invalid), (413, TooLarge),
        (200, Accepted), (204, Accepted),
    ],
)  # fmt: skip
def test_http_statuses(status: int, kind: type[Outcome]) -> None:
    assert type(of_http(Signal.LOGS, status, {}, b"why")) is kind


def test_retry_after_in_seconds_as_a_date_and_as_nonsense() -> None:
    def wait(value: str) -> float:
        outcome = of_http(Signal.LOGS, 503, {"retry-after": value}, b"")
        assert isinstance(outcome, Unavailable)
        return outcome.retry_after

    assert wait("7") == 7.0
    assert 50 < wait(formatdate(time() + 60, usegmt=True)) <= 60
    assert wait("soon") == wait("") == wait("nan") == wait("-3") == 1.0


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize(
    "outcome",
    [Accepted(), Accepted(2, "two were bad"), Accepted(0, "a warning"), Invalid("no"), TooLarge("too much"),
     Overloaded(2.0, "later"), Unavailable(2.0, "away")],
)  # fmt: skip
def test_what_our_receiver_answers_is_understood(signal: Signal, outcome: Outcome) -> None:
    grpc = grpc_answer(signal, outcome)
    read = (
        taken(signal, grpc.body)
        if grpc.code == code_pb2.OK
        else of_grpc(code_pb2.Code.Name(grpc.code), grpc.details, dict(grpc.trailers))
    )
    http = http_answer(signal, outcome, Encoding.PROTOBUF)
    headers = CaseInsensitiveDict({name.decode(): value.decode() for name, value in http.headers})

    for found in (read, of_http(signal, http.status, headers, http.body)):
        assert type(found) is type(outcome)
        assert found.message.endswith(outcome.message)
        if isinstance(outcome, Accepted):
            assert found == outcome
        if isinstance(found, Overloaded | Unavailable) and isinstance(outcome, Overloaded | Unavailable):
            assert found.retry_after == outcome.retry_after
