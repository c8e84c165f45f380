"""The gRPC client against stub servers: rare answers, wrong ones, endless ones, and connections that end."""

import struct
import threading
from collections.abc import Callable

import pytest

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.grpc.messages import Reply
from otelgres.exporters.otlp import OtlpExporter
from otelgres.exporters.outcome import Outcome, Unavailable
from otelgres.exporters.target import Target
from tests.acceptance.http2_by_hand import frame
from tests.library.grpc_servers import (
    ACK,
    DATA,
    END_STREAM,
    GRPC,
    PING,
    RST_STREAM,
    SETTINGS,
    TIMEOUT,
    WINDOW_UPDATE,
    Peer,
    answer,
    client,
    goaway,
    headers,
    settings,
    stub,
)
from tests.library.otlp_receiver import Receiver

Script = Callable[[Peer], None]
METHOD = "/a.Service/Call"
GOOD = settings({}) + answer(1, b"good")


def script(*frames: bytes) -> Script:
    """Reads a request, sends ``frames`` and waits until the client closes."""

    def run(peer: Peer) -> None:
        peer.request()
        peer.send(*frames)
        while True:
            peer.read()

    return run


def reply_to(*frames: bytes, timeout: float = 30) -> Reply:
    with stub(script(*frames)) as server:
        one = client(server.port)
        reply = one.unary(METHOD, b"x", timeout)
        one.close()
        return reply


def test_a_good_answer_is_good() -> None:
    assert reply_to(GOOD).body == b"good"


def test_no_answer_costs_the_deadline() -> None:
    assert reply_to(timeout=0.2) == Reply("DEADLINE_EXCEEDED", "no answer in time (0.2 s)")


def test_an_exporter_that_is_aborted_closes_its_connection() -> None:
    arrived = threading.Event()

    def run(peer: Peer) -> None:
        peer.request()
        arrived.set()
        peer.read()

    with stub(run) as server:
        endpoint = f"http://127.0.0.1:{server.port}"
        target = Target("grpc", endpoint, insecure=True, loopback=True, headers={}, timeout=600, compression="none")
        exporter = OtlpExporter({Signal.LOGS: target})
        outcomes: list[Outcome] = []
        thread = threading.Thread(target=lambda: outcomes.extend(exporter.write([Batch(Signal.LOGS, b"x")])))
        thread.start()
        assert arrived.wait(TIMEOUT)
        exporter.abort()
        assert server.ended.acquire(timeout=TIMEOUT / 2)
        thread.join()
    assert [type(outcome) for outcome in outcomes] == [Unavailable]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (0, "INTERNAL"),
        (2, "INTERNAL"),
        (8, "CANCELLED"),
        (11, "UNAVAILABLE"),
        (12, "PERMISSION_DENIED"),
        (99, "UNKNOWN"),
    ],
)
def test_a_reset_has_the_status_of_the_specification(error: int, code: str) -> None:
    assert reply_to(frame(RST_STREAM, 0, 1, struct.pack(">I", error))).code == code


def test_a_refused_stream_is_sent_once_more() -> None:
    refused = script(settings({}), frame(RST_STREAM, 0, 1, struct.pack(">I", 7)))
    with stub(refused, script(GOOD)) as server:
        assert client(server.port).unary(METHOD, b"x", 30).body == b"good"
    with stub(refused) as server:
        assert client(server.port).unary(METHOD, b"x", 30).code == "UNAVAILABLE"
        assert server.connections == 2


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("400", "INTERNAL"),
        ("401", "UNAUTHENTICATED"),
        ("403", "PERMISSION_DENIED"),
        ("404", "UNIMPLEMENTED"),
        ("429", "UNAVAILABLE"),
        ("502", "UNAVAILABLE"),
        ("503", "UNAVAILABLE"),
        ("504", "UNAVAILABLE"),
        ("500", "UNKNOWN"),
        ("302", "UNAVAILABLE"),
    ],
)
def test_answers_of_http_have_the_status_of_the_specification(status: str, code: str) -> None:
    page = headers(1, {":status": status, "content-type": "text/html"}) + frame(DATA, END_STREAM, 1, b"<html>")
    assert reply_to(page) == Reply(code, f"HTTP {status} instead of an answer of gRPC")


def test_a_page_is_no_answer() -> None:
    page = headers(1, {":status": "200", "content-type": "text/html"}) + frame(DATA, END_STREAM, 1, b"<html>")
    assert reply_to(page) == Reply("UNAVAILABLE", "content-type 'text/html' instead of an answer of gRPC")


def test_pings_and_settings_are_answered_and_obeyed() -> None:
    acknowledged: set[int] = set()

    def run(peer: Peer) -> None:
        peer.send(settings({4: 10, 5: 100_000}), frame(PING, 0, 0, b"12345678"))
        while acknowledged != {PING, SETTINGS}:
            kind, flags, _, payload = peer.read()
            if flags & ACK and (kind == SETTINGS or (kind == PING and payload == b"12345678")):
                acknowledged.add(kind)
        peer.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 10**6)))
        peer.send(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 10**6)))
        peer.request()
        peer.send(settings({4: 10**6}), answer(1))
        stream, parts = peer.request()
        peer.send(answer(stream, str(max(map(len, parts))).encode()))

    with stub(run) as server:
        one = client(server.port)
        assert one.unary(METHOD, bytes(70_000), 30).code == "OK"
        assert one.unary(METHOD, bytes(350_000), 30).body == b"100000"
        one.close()


def answering_once(peer: Peer) -> None:
    peer.request()
    peer.send(GOOD)


def test_a_connection_that_the_server_closed_meanwhile_is_opened_again() -> None:
    with stub(answering_once) as server:
        one = client(server.port)
        for number in range(1, 4):
            assert one.unary(METHOD, b"x", 30).body == b"good"
            server.ended.acquire()
            assert server.connections == number


def dropping_the_second(*frames: bytes) -> Script:
    def run(peer: Peer) -> None:
        peer.request()
        peer.send(GOOD)
        peer.request()
        peer.send(*frames)

    return run


def test_what_an_old_connection_swallowed_is_sent_once_more() -> None:
    with stub(dropping_the_second()) as server:
        one = client(server.port)
        assert [one.unary(METHOD, b"x", 30).code for _ in range(3)] == ["OK"] * 3
        assert server.connections == 3
        one.close()


def test_what_a_server_began_to_answer_is_not_sent_again() -> None:
    with stub(dropping_the_second(headers(3, GRPC))) as server:
        one = client(server.port)
        assert one.unary(METHOD, b"x", 30).code == "OK"
        assert one.unary(METHOD, b"x", 30) == Reply("UNAVAILABLE", "the server closed the connection")
        assert server.connections == 1


def test_a_new_connection_that_ends_is_not_tried_again() -> None:
    with stub(lambda peer: None) as server:
        assert client(server.port).unary(METHOD, b"x", 30).code == "UNAVAILABLE"
        assert server.connections == 1


def test_a_server_that_goes_away_ends_the_call_and_gets_no_other() -> None:
    with stub(script(goaway(1), GOOD)) as server:
        one = client(server.port)
        assert [one.unary(METHOD, b"x", 30).body for _ in range(2)] == [b"good"] * 2
        assert server.connections == 2
        one.close()


def test_a_call_that_a_leaving_server_did_not_look_at_is_sent_to_the_next() -> None:
    with stub(script(settings({}), goaway(0)), script(GOOD)) as server:
        one = client(server.port)
        assert one.unary(METHOD, b"x", 30).body == b"good"
        assert server.connections == 2
        one.close()


def test_the_wrong_port_is_named() -> None:
    advice = "use the gRPC port (usually 4317), or protocol http/protobuf"
    with Receiver() as receiver:
        reply = client(receiver.http_port).unary(METHOD, b"x", 30)
    # Some servers of HTTP/1 answer with a status line, which is shown.
    assert reply.code == "UNAVAILABLE"
    assert reply.details.startswith("this port speaks HTTP/1, not gRPC")
    assert reply.details.endswith(advice)
    reply = reply_to(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    assert reply == Reply("UNAVAILABLE", f"this port speaks HTTP/1, not gRPC (HTTP/1.1 400 Bad Request): {advice}")
    assert reply_to(b"SSH-2.0-x\r\n").details == "the answer is not HTTP/2: is this the gRPC port (usually 4317)?"
    assert reply_to(b"\x15\x03\x01\0\2\2\x46") == Reply(
        "UNAVAILABLE", "this port uses TLS: use https:// in the endpoint"
    )


def test_halves_of_an_answer_are_errors() -> None:
    """All beginnings of a good answer, each on a connection that then ends."""
    beginnings = [GOOD[:length] for length in range(len(GOOD))]
    remaining = iter(beginnings)

    def run(peer: Peer) -> None:
        peer.request()
        peer.send(next(remaining))

    with stub(run) as server:
        for beginning in beginnings:
            reply = client(server.port).unary(METHOD, b"x", 30)
            assert reply.code == "UNAVAILABLE", beginning
            assert reply.details in {"the server closed the connection", "Connection reset by peer"}
