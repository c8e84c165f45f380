"""The gRPC client against a real server of grpcio."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.otlp import OtlpExporter
from otelgres.exporters.outcome import Accepted, Overloaded, TooLarge, Unavailable
from otelgres.exporters.target import Target
from tests.library.grpc_servers import TIMEOUT, client, real_server
from tests.library.otlp_receiver import Receiver, run_app, unused_port

METHOD = "/a.Service/Call"
LARGE = bytes(range(256)) * 12 * 1024
RETRY_INFO = RetryInfo(retry_delay=Duration(seconds=7))
DETAILS = Status(code=8, message="busy")
DETAILS.details.add().Pack(RETRY_INFO)


def export(message: bytes, context: Any) -> bytes:
    """What the first word of the message says."""
    word, _, rest = message.partition(b" ")
    if word == b"length":
        return str(len(message)).encode()
    if word == b"peer":
        return str(context.peer()).encode()
    if word == b"time":
        return str(context.time_remaining()).encode()
    if word == b"header":
        return repr(dict(context.invocation_metadata())).encode()
    if word == b"wait":
        gone = threading.Event()
        context.add_callback(gone.set)
        gone.wait(TIMEOUT)
    if word == b"abort":
        context.abort(getattr(grpc.StatusCode, rest.decode()), "trop chargé: 100%\n")
    if word == b"details":
        context.set_trailing_metadata((("grpc-status-details-bin", DETAILS.SerializeToString()),))
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")
    return message


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with real_server(export, compression=grpc.Compression.Gzip) as port:
        yield port


def target(port: int, **changes: Any) -> dict[Signal, Target]:
    fields: dict[str, Any] = {"headers": {}, "timeout": 10.0, "compression": "none", **changes}
    return {Signal.LOGS: Target("grpc", f"http://127.0.0.1:{port}", insecure=True, loopback=True, **fields)}


@pytest.mark.parametrize("code", [code.name for code in grpc.StatusCode if code.name != "OK"])
def test_every_status_comes_back_with_its_text(port: int, code: str) -> None:
    reply = client(port).unary(METHOD, f"abort {code}".encode(), 10)
    assert (reply.code, reply.details) == (code, "trop chargé: 100%\n")


def test_details_of_a_status_are_bytes(port: int) -> None:
    reply = client(port).unary(METHOD, b"details", 10)
    assert reply.trailers["grpc-status-details-bin"] == DETAILS.SerializeToString()
    exporter = OtlpExporter(target(port))
    assert exporter.write([Batch(Signal.LOGS, b"details")]) == [Overloaded(7.0, "RESOURCE_EXHAUSTED: busy")]
    exporter.close()


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_large_messages_pass_in_both_directions(port: int, compression: str) -> None:
    one = client(port, compression=compression)
    assert one.unary(METHOD, b"length " + LARGE, 30).body == str(len(LARGE) + 7).encode()
    assert one.unary(METHOD, LARGE, 30).body == LARGE
    one.close()


def test_metadata_arrives(port: int) -> None:
    one = client(port, headers={"X-Mine": " one ", "bytes-bin": "é", "authorization": "Bearer t"})
    for _ in range(3):
        received = eval(one.unary(METHOD, b"header", 10).body)
        assert received == {
            "authorization": "Bearer t",
            "bytes-bin": "é".encode(),
            "user-agent": "otelgres/0",
            "x-mine": "one",
        }


def test_a_call_ends_at_its_deadline_which_the_server_knows(port: int) -> None:
    one = client(port)
    assert 5 < float(one.unary(METHOD, b"time", 30).body) <= 30.1
    began = time.monotonic()
    reply = one.unary(METHOD, b"wait", 0.3)
    assert reply.code == "DEADLINE_EXCEEDED"
    assert 0.29 < time.monotonic() - began < 10
    assert one.unary(METHOD, b"again", 10).body == b"again"


def test_all_calls_go_over_one_connection(port: int) -> None:
    one = client(port)
    assert len({one.unary(METHOD, b"peer", 10).body for _ in range(20)}) == 1


def test_a_server_that_is_started_again_gets_the_next_call() -> None:
    with real_server(export) as port:
        one = client(port)
        assert one.unary(METHOD, b"first", 10).body == b"first"
    reply = one.unary(METHOD, b"nobody", 10)
    assert (reply.code, reply.details) == ("UNAVAILABLE", "Connection refused")
    with real_server(export, f"127.0.0.1:{port}"):
        assert one.unary(METHOD, b"second", 10).body == b"second"


def test_a_refusal_before_the_end_of_the_request_is_understood() -> None:
    with real_server(export, options=[("grpc.max_receive_message_length", 1000)]) as port:
        exporter = OtlpExporter(target(port))
        large, small = exporter.write([Batch(Signal.LOGS, LARGE), Batch(Signal.LOGS, b"x")])
        assert isinstance(large, TooLarge)
        assert isinstance(small, Accepted)
        exporter.close()


def test_a_header_that_cannot_be_sent_is_named() -> None:
    exporter = OtlpExporter(target(unused_port(), headers={"token": "a\nb"}))
    (outcome,) = exporter.write([Batch(Signal.LOGS, b"x")])
    assert isinstance(outcome, Unavailable)
    assert "header 'token' has a name or value that gRPC cannot send" in outcome.message
    exporter.close()


CHILD_OF_A_CALLER = """
import os, sys
from tests.library.grpc_servers import client
from threading import Thread
one = client(int(sys.argv[1]))
ask = lambda: one.unary("/a.Service/Call", b"peer", 10).body.decode()
first = ask()
child = os.fork()
if not child:
    one.close()
    second = ask()
    one.close()
    os._exit(0 if second not in ("", first) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), ask() == first)
"""


def test_a_child_has_a_connection_of_its_own_and_leaves_the_parent_its(port: int) -> None:
    assert run_app(CHILD_OF_A_CALLER, port).stdout == "0 True\n"


def test_the_library_sends_without_grpcio() -> None:
    source = (
        "import sys; sys.modules['grpc'] = None\n"
        "from otel_setup import checkpoint, configure_telemetry, shutdown_telemetry\n"
        "configure_telemetry(endpoint=sys.argv[1]); checkpoint('SENT'); print(shutdown_telemetry())"
    )
    with Receiver() as receiver:
        assert run_app(source, receiver.grpc_endpoint).stdout == "True\n"
        assert [span.name for span in receiver.spans()] == ["SENT"]
