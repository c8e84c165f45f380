"""Servers for the gRPC client: a real one of grpcio, and one that sends the frames of a script."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc  # type: ignore[import-untyped]

from otelgres.exporters.grpc.client import GrpcClient
from otelgres.exporters.target import Target
from tests.acceptance.http2_by_hand import frame

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# How long a script waits for the client, in seconds.
TIMEOUT = 60.0
GRPC = {":status": "200", "content-type": "application/grpc"}


def client(port: int, **changes: Any) -> GrpcClient:
    """A client of ``127.0.0.1:port`` without TLS; ``changes`` are fields of its target."""
    fields: dict[str, Any] = {
        "protocol": "grpc",
        "endpoint": f"127.0.0.1:{port}",
        "insecure": True,
        "loopback": True,
        "headers": {},
        "timeout": 10.0,
        "compression": "none",
    }
    return GrpcClient(Target(**{**fields, **changes}), "otelgres/0")


@contextmanager
def real_server(
    export: Callable[[bytes, Any], bytes], address: str = "127.0.0.1:0", credentials: Any = None, **options: Any
) -> Iterator[int]:
    """A server of grpcio whose methods are all ``export(message, context)``; its port."""

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(export)

    threads = ThreadPoolExecutor(4)
    options["options"] = [("grpc.so_reuseport", 0), *options.pop("options", ())]
    server = grpc.server(threads, handlers=[Handler()], **options)
    port: int = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()
        threads.shutdown()


class Peer:
    """The server's side of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._input = sock.makefile("rb")
        self._greeted = False

    def send(self, *frames: bytes) -> None:
        self.sock.sendall(b"".join(frames))

    def read(self) -> tuple[int, int, int, bytes]:
        """Kind, flags, stream and payload of the next frame. Raises EOFError."""
        if not self._greeted:
            assert self._input.read(len(PREFACE)) == PREFACE
            self._greeted = True
        head = self._input.read(9)
        if len(head) < 9:
            raise EOFError
        payload = self._input.read(int.from_bytes(head[:3], "big"))
        return head[3], head[4], struct.unpack(">I", head[5:])[0], payload

    def request(self) -> tuple[int, list[bytes]]:
        """Waits for the end of a request; its stream and the payloads of its DATA frames."""
        parts = []
        while True:
            kind, flags, stream, payload = self.read()
            if kind == DATA:
                parts.append(payload)
                if flags & END_STREAM:
                    return stream, parts

    def until(self, kind: int, flags: int = 0) -> bytes:
        """The payload of the next frame of ``kind`` with ``flags``."""
        while True:
            found = self.read()
            if found[0] == kind and found[1] & flags == flags:
                return found[3]


@dataclass
class Scripted:
    """``connections`` counts those that were accepted; ``ended`` is released after each script."""

    port: int
    connections: int = 0
    ended: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


@contextmanager
def stub(*scripts: Callable[[Peer], None]) -> Iterator[Scripted]:
    """Runs a script for each connection, in order, and closes it after the script; the last one is used again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Scripted(listener.getsockname()[1])
        thread = threading.Thread(target=_serve, args=(listener, server, scripts))
        thread.start()
        try:
            yield server
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listener: socket.socket, server: Scripted, scripts: "tuple[Callable[[Peer], None], ...]") -> None:
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        sock.settimeout(TIMEOUT)
        script = scripts[min(server.connections, len(scripts) - 1)]
        server.connections += 1
        with sock, contextlib.suppress(OSError, EOFError):
            script(Peer(sock))
        server.ended.release()


def block(fields: dict[str, str]) -> bytes:
    """Header fields as HPACK literals."""
    return b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode("latin-1")
        for name, value in fields.items()
    )


def settings(values: dict[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in values.items()))


def headers(stream: int, fields: dict[str, str], *, end: bool = False) -> bytes:
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(fields))


def goaway(last_stream: int) -> bytes:
    return frame(GOAWAY, 0, 0, struct.pack(">II", last_stream, 0))


def answer(stream: int, message: bytes = b"", status: int = 0) -> bytes:
    """A whole answer."""
    body = b"\0" + len(message).to_bytes(4, "big") + message
    return (
        headers(stream, GRPC) + frame(DATA, 0, stream, body) + headers(stream, {"grpc-status": str(status)}, end=True)
    )
