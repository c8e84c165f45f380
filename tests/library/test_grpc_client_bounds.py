"""Answers without end cost the gRPC client neither memory nor more time than the deadline."""

import struct
import time
import tracemalloc
from collections.abc import Callable

import pytest

from otelgres.exporters.grpc.messages import RESPONSE_BYTES, Reply
from tests.acceptance.http2_by_hand import frame
from tests.library.grpc_servers import (
    CONTINUATION,
    DATA,
    GRPC,
    HEADERS,
    PING,
    WINDOW_UPDATE,
    Peer,
    block,
    client,
    headers,
    settings,
    stub,
)

Script = Callable[[Peer], None]
METHOD = "/a.Service/Call"


def forever(*frames: bytes, first: bytes = b"") -> Script:
    def run(peer: Peer) -> None:
        peer.request()
        peer.send(settings({}), first)
        part = b"".join(frames)
        part *= 65536 // len(part)
        while True:
            peer.send(part)

    return run


FIELD = block({"x-" + "y" * 100: "z" * 100})


@pytest.mark.parametrize(
    "endless",
    [
        forever(frame(PING, 0, 0, bytes(8))),
        forever(settings({4: 70_000})),
        forever(headers(1, {":status": "103"})),
        forever(frame(CONTINUATION, 0, 1, FIELD), first=frame(HEADERS, 0, 1, block(GRPC))),
        forever(frame(CONTINUATION, 0, 1, b""), first=frame(HEADERS, 0, 1, block(GRPC))),
        forever(frame(DATA, 0, 1, bytes(10_000)), first=headers(1, GRPC)),
        forever(frame(DATA, 0, 1, b""), first=headers(1, GRPC)),
        forever(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1))),
        forever(frame(250, 0, 0, bytes(16_000))),
        forever(b"HTTP/1.1 200 OK\r\n"),
        forever(bytes(9)),
    ],
    ids=["ping", "settings", "103", "continuation", "empty continuation", "data", "empty data", "window", "unknown",
         "http", "zeros"],
)  # fmt: skip
def test_what_never_ends_costs_neither_memory_nor_more_than_the_deadline(endless: Script) -> None:
    with stub(endless) as server:
        one = client(server.port)
        tracemalloc.start()
        began = time.monotonic()
        reply = one.unary(METHOD, b"x", 1.0)
        spent = time.monotonic() - began
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert reply.code in {"DEADLINE_EXCEEDED", "UNAVAILABLE", "INTERNAL"}
    assert spent < 10
    assert peak < 12_000_000  # of the server too; a response may have 4 MiB


def test_a_response_has_a_limit() -> None:
    def run(peer: Peer) -> None:
        peer.request()
        peer.send(settings({}), headers(1, GRPC), frame(DATA, 0, 1, b"\0" + struct.pack(">I", 2**31)))
        credit = 65_535 - 5
        while True:
            while credit >= 16_384:
                peer.send(frame(DATA, 0, 1, bytes(16_384)))
                credit -= 16_384
            kind, _, stream, payload = peer.read()
            if kind == WINDOW_UPDATE and stream == 1:
                credit += struct.unpack(">I", payload)[0]

    with stub(run) as server:
        reply = client(server.port).unary(METHOD, b"x", 60)
    assert reply == Reply("INTERNAL", f"the response is larger than {RESPONSE_BYTES} bytes")
