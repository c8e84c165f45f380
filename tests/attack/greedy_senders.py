"""A greedy sender against a modest one, at one receiver: what the greedy one does to the other's answers.

``attack`` runs the receiver, the modest sender (small requests, one after the other, on both transports), and each
greedy one as a process; ``python -m tests.attack.greedy_senders`` prints the rows.
"""

import contextlib
import http.client
import itertools
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import grpc  # type: ignore[import-untyped]

from otelgres.collector.embedded import Cluster
from otelgres.collector.tools.chaos.items import ItemKind, Items
from tests import postgres
from tests.acceptance.http2_by_hand import TRACES, Http2
from tests.acceptance.receiver_process import OtelgresProcess, environment, invoke

SECONDS: Final = 10.0
# Clients are told apart by address before they show a token. The greedy one's is here, where it takes connections only.
_GREEDY_ADDRESS: Final = "127.0.0.2"
_CHANNEL: Final = [("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100)]
_LOGS: Final = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
_PAUSE: Final = 0.01
# The greedy process takes much of a small machine: what is below this is not the receiver's doing.
_NOISE_SECONDS: Final = 0.1
_numbers = itertools.count(1)


class Row(NamedTuple):
    """The modest sender's p99 in seconds, ``alone`` and ``attacked``; ``held``: all stored, within 2x of alone."""

    name: str
    alone: float
    attacked: float
    failed: int
    held: bool


class Target(NamedTuple):
    """A receiver's ports, and a sender's token."""

    grpc: int
    http: int
    token: str


# --- The modest sender ------------------------------------------------------------------------------------------------


def _modest(target: Target, seconds: float) -> tuple[list[float], int]:
    """Seconds of each answer, and how many requests were not accepted at the first attempt."""
    items = Items(1, time.time_ns())
    took: list[float] = []
    failed = 0
    metadata = (("authorization", f"Bearer {target.token}"),)
    headers = {"authorization": f"Bearer {target.token}", "content-type": "application/x-protobuf"}
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for over_grpc in (True, False):
            payload = items.request(ItemKind.LOG, range(first := next(_numbers), first + 1))
            began = time.monotonic()
            # A connection for each: whoever takes all of them is noticed.
            try:
                if over_grpc:
                    with grpc.insecure_channel(f"127.0.0.1:{target.grpc}", options=_CHANNEL) as channel:
                        channel.unary_unary(_LOGS)(payload, timeout=30, metadata=metadata, wait_for_ready=True)
                else:
                    connection = http.client.HTTPConnection("127.0.0.1", target.http, timeout=30)
                    with contextlib.closing(connection):
                        connection.request("POST", "/v1/logs", payload, headers)
                        failed += connection.getresponse().status != 200
            except (grpc.RpcError, OSError, http.client.HTTPException):
                failed += 1
            took.append(time.monotonic() - began)
            time.sleep(_PAUSE)
    return took, failed


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


# --- The greedy ones, each in threads of one process ------------------------------------------------------------------


def _half_sent_calls(target: Target, *, dribble: bool) -> None:
    with socket.create_connection(("127.0.0.1", target.grpc)) as sock:
        client = Http2(sock, None)
        streams = itertools.count(1, 2)
        open_calls: set[int] = set()

        def fill() -> None:
            while len(open_calls) < 60:
                stream = next(streams)
                client.open_call(stream, TRACES, authorization=f"Bearer {target.token}")
                client.send(stream, b"\0" + (1 << 20).to_bytes(4, "big") + b"\0" * 100)
                open_calls.add(stream)

        fill()
        sock.settimeout(0.2)
        while True:
            with contextlib.suppress(TimeoutError):
                sock.recv(1, socket.MSG_PEEK)
                sock.settimeout(None)
                client.read()
            sock.settimeout(0.2)
            open_calls -= client.ended
            client.ended.clear()
            fill()
            for stream in open_calls if dribble else ():
                client.send(stream, b"\0")


def _half_sent_bodies(target: Target, *, dribble: bool) -> None:
    head = (
        f"POST /v1/logs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {target.token}\r\n"
        "Content-Type: application/x-protobuf\r\nContent-Length: 8000000\r\n\r\n"
    ).encode()
    sockets: list[socket.socket] = []
    while True:
        while len(sockets) < 60:
            sock = socket.create_connection(("127.0.0.1", target.http))
            sock.settimeout(0.05)
            sockets.append(sock)
            with contextlib.suppress(OSError):
                sock.sendall(head + bytes(1000 if dribble else 7_000_000))
        for sock in list(sockets):
            try:
                if dribble:
                    sock.sendall(b"\0")
                elif sock.recv(65536) == b"":
                    raise ConnectionError
            except TimeoutError:
                pass
            except OSError:
                sock.close()
                sockets.remove(sock)


def _large_requests(target: Target) -> None:
    items = Items(2, time.time_ns())
    body = items.request(ItemKind.LOG, range(6000))
    headers = {"authorization": f"Bearer {target.token}", "content-type": "application/x-protobuf"}
    connection = http.client.HTTPConnection("127.0.0.1", target.http)
    while True:
        # An unknown field makes it another request.
        unknown = b"\xf8\x7f" + bytes(0x80 | (time.time_ns() >> shift & 0x7F) for shift in range(0, 56, 7)) + b"\x01"
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("POST", "/v1/logs", body + unknown, headers)
            connection.getresponse().read()
            continue
        connection.close()


def _connections(port: int) -> None:
    sockets: list[socket.socket] = []
    while True:
        sock = socket.create_connection(("127.0.0.1", port), source_address=(_GREEDY_ADDRESS, 0))
        sock.settimeout(0.001)
        try:
            refused = sock.recv(65536)[:4] in (b"", b"HTTP")
        except TimeoutError:
            refused = False
        except OSError:
            refused = True
        if refused:
            sock.close()
        else:
            sockets.append(sock)
        if len(sockets) > 1100:
            sockets.pop(0).close()


GREEDY: Final[dict[str, tuple[int, Callable[[Target], None]]]] = {
    "half-sent gRPC calls": (2, lambda target: _half_sent_calls(target, dribble=False)),
    "gRPC calls that dribble": (2, lambda target: _half_sent_calls(target, dribble=True)),
    "half-sent HTTP bodies": (1, lambda target: _half_sent_bodies(target, dribble=False)),
    "HTTP bodies that dribble": (1, lambda target: _half_sent_bodies(target, dribble=True)),
    "large valid requests": (4, _large_requests),
    "HTTP connections": (1, lambda target: _connections(target.http)),
    "gRPC connections": (1, lambda target: _connections(target.grpc)),
}


@contextmanager
def _greedy(name: str, target: Target) -> Iterator[None]:
    arguments = [
        sys.executable,
        "-m",
        "tests.attack.greedy_senders",
        name,
        str(target.grpc),
        str(target.http),
        target.token,
    ]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(arguments, env=environment(), cwd=root) as process:
        try:
            time.sleep(1)  # until it has taken what it can
            yield
            assert process.poll() is None, "the greedy sender ended"
        finally:
            process.kill()


@contextmanager
def receiver(cluster: Cluster, template: str = "template0") -> Iterator[tuple[Target, Target]]:
    """A receiver with the tokens of a modest and a greedy sender."""
    with tempfile.TemporaryDirectory() as folder, postgres.new_database(cluster, template) as dsn:
        settings = {"OTELGRES_TOKENS_FILE": f"{folder}/tokens.yaml", "OTELGRES_SPOOL": f"{folder}/spool"}
        tokens = []
        for name in ("modest", "greedy"):
            made = invoke("token", "new", "--name", name, "--scope", "ingest", **settings)
            assert made.returncode == 0, made.stderr
            tokens.append(made.stdout.split()[-1])
        addresses = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
        process = OtelgresProcess(
            "serve",
            "--json",
            *addresses,
            OTELGRES_DSN=dsn,
            OTELGRES_TOKENS_FILE=settings["OTELGRES_TOKENS_FILE"],
            OTELGRES_SPOOL=settings["OTELGRES_SPOOL"],
        )
        with process:
            ready = process.ready()
            grpc_port, http_port = (int(ready[name].rpartition(":")[2]) for name in ("grpc", "http"))
            modest, greedy = (Target(grpc_port, http_port, token) for token in tokens)
            yield modest, greedy
            assert process.stop() == 0, process.errors


def attack(modest: Target, greedy: Target, names: Iterable[str] = GREEDY, seconds: float = SECONDS) -> Iterator[Row]:
    """A row for each greedy sender."""
    _modest(modest, 1)
    for name in names:
        before, failures = _modest(modest, seconds)
        assert failures == 0, "alone"
        alone = _p99(before)
        with _greedy(name, greedy):
            took, failed = _modest(modest, seconds)
        attacked = _p99(took)
        yield Row(name, alone, attacked, failed, failed == 0 and attacked <= max(2 * alone, alone + _NOISE_SECONDS))


def main() -> None:
    """The greedy sender named by the arguments, or without any all attacks."""
    if len(sys.argv) > 1:
        threads, work = GREEDY[sys.argv[1]]
        target = Target(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
        for _ in range(threads):
            threading.Thread(target=work, args=(target,), daemon=True).start()
        threading.Event().wait()
    with postgres.fast_cluster(postgres.version(None)) as cluster, receiver(cluster) as (modest, greedy):
        for row in attack(modest, greedy):
            print(
                f"{row.name:26} alone {row.alone * 1000:6.0f} ms, attacked {row.attacked * 1000:6.0f} ms, "
                f"failed {row.failed:3}: {'held' if row.held else 'BROKEN'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
