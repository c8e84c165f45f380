"""A greedy sender takes all that it can get, over real sockets: a modest one is served meanwhile."""

import contextlib
import socket
from collections.abc import Iterator

import grpc  # type: ignore[import-untyped]
import pytest

from otelgres.collector.embedded import Cluster
from otelgres.collector.otlp.grpc_connections import close_over_share
from otelgres.collector.otlp.grpc_server import CallLimits, serve_grpc
from otelgres.collector.otlp.http_protocol import ConnectionLimits
from tests.acceptance.http2_by_hand import TRACES, Http2, http2
from tests.acceptance.http_client import read_response, serving
from tests.acceptance.stub_queue import TIMEOUT, LoopThread, StubQueue
from tests.attack.greedy_senders import GREEDY, Target, attack, receiver
from tests.waiting import until

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
GREEDY_ADDRESS, MODEST_ADDRESS = "127.0.0.2", "127.0.0.3"
# An answer within this time has not waited for a limit: those are 10 and 60 seconds. Less would measure the machine.
MOST_SECONDS = 5.0


@pytest.fixture(scope="module")
def senders(cluster: Cluster, migrated: str) -> Iterator[tuple[Target, Target]]:
    with receiver(cluster, migrated) as (modest, greedy):
        yield modest, greedy


@pytest.mark.parametrize("name", [name for name in GREEDY if "connections" not in name])
def test_a_modest_sender_is_served_beside_a_greedy_one(senders: tuple[Target, Target], name: str) -> None:
    for row in attack(*senders, [name], seconds=1.5):
        assert row.failed == 0
        assert row.attacked < MOST_SECONDS


def connect(port: int, address: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), TIMEOUT, (address, 0))


def test_one_address_cannot_take_all_http_connections(loop: LoopThread) -> None:
    with (
        serving(loop, StubQueue(), connection_limits=ConnectionLimits(connections=16)) as port,
        contextlib.ExitStack() as stack,
    ):
        statuses = []
        for _ in range(20):
            sock = stack.enter_context(connect(port, GREEDY_ADDRESS))
            sock.sendall(HEALTH)
            statuses.append(read_response(sock).status)
        assert statuses == [200] * 12 + [503] * 8
        modest = stack.enter_context(connect(port, MODEST_ADDRESS))
        modest.sendall(HEALTH)
        assert read_response(modest).status == 200


def test_one_address_cannot_keep_all_grpc_connections(loop: LoopThread) -> None:
    stub = StubQueue()
    server = loop.run(serve_grpc(stub.pipeline(), "127.0.0.1", 0, max_connections=16))
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(16):
                sock = stack.enter_context(connect(server.port, GREEDY_ADDRESS))
                sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                channel.unary_unary(TRACES)(b"x", timeout=TIMEOUT, wait_for_ready=True)
            # One client alone has three quarters, and they are left to it.
            until(lambda: close_over_share(server.port, 16) == 0, "fair shares")
    finally:
        loop.run(server.stop(0))
    assert len(stub.batches) == 1


def test_half_sent_calls_of_one_client_give_way_to_others_with_a_retryable_error(loop: LoopThread) -> None:
    limits = CallLimits(receiving=4, waiting=4)
    server = loop.run(serve_grpc(StubQueue().pipeline(), "127.0.0.1", 0, limits=limits))
    try:
        with (
            connect(server.port, GREEDY_ADDRESS) as greedy_socket,
            http2(server.port) as first,
            http2(server.port) as second,
        ):
            greedy = Http2(greedy_socket, None)
            for client, streams in ((greedy, (1, 3, 5, 7)), (first, (1,)), (second, (1,))):
                for stream in streams:
                    client.open_call(stream, TRACES)
                    client.send(stream, b"\0\0\0\0\x64half")
                client.settle()
            # The first of the modest client's calls has the reserved turn, the second takes the greedy one's oldest.
            for stream in (1, 3):
                trailers = greedy.trailers(stream)
                assert b"too many requests at once" in trailers
                assert b"retryinfo" in trailers
            second.send(1, bytes(96), last=True)
            assert b"grpc-status\x010" in second.trailers(1)
            assert greedy.ended == {1, 3}
            assert not first.ended
    finally:
        loop.run(server.stop(0))
