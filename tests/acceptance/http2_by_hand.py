"""A gRPC client made of HTTP/2 frames, for what no client library would do: stop in the middle and see what is granted.

Understands as much of the server's answers as the tests need: window updates, pings, and raw header blocks.
"""

import socket
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tests.acceptance.stub_queue import TIMEOUT

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
# What a stream may send before the server says a word (RFC 9113, 6.5.2).
FIRST_WINDOW = 65535
_DATA, _HEADERS, _RST, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
FIELDS = {b":method": b"POST", b":scheme": b"http", b":path": TRACES.encode(), b":authority": b"x"}
FIELDS |= {b"te": b"trailers", b"content-type": b"application/grpc"}


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def header_block(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The fields as HPACK literals without compression (RFC 7541, 6.2.2)."""
    return b"".join(b"\x00" + _length(name) + name + _length(value) + value for name, value in fields)


def _length(text: bytes) -> bytes:
    # An integer with a 7-bit prefix (RFC 7541, 5.1).
    rest = len(text) - 127
    if rest < 0:
        return bytes([len(text)])
    found = b"\x7f"
    while rest >= 128:
        found += bytes([rest % 128 + 128])
        rest //= 128
    return found + bytes([rest])


class Http2:
    """One connection. Window credit of streams is counted; whoever sends looks after not exceeding it."""

    def __init__(self, sock: socket.socket, initial_window: int | None) -> None:
        self._sock = sock
        self._input = sock.makefile("rb")
        self._credit: Counter[int] = Counter()
        self._first_window = FIRST_WINDOW
        self._sent: Counter[int] = Counter()
        self._headers: dict[int, list[bytes]] = {}
        self._pings = 0
        self.ended: set[int] = set()
        self.goaway = False
        self.max_concurrent_streams: int | None = None
        settings = b"" if initial_window is None else struct.pack(">HI", 4, initial_window)
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(_SETTINGS, 0, 0, settings))

    def open_call(self, stream: int, path: str, *, complete: bool = True, **more: str) -> None:
        """Sends a call's headers, or the first half of them; ``more`` fields come last."""
        fields = FIELDS | {b":path": path.encode()} | {name.encode(): value.encode() for name, value in more.items()}
        block = header_block(fields.items())
        self._sock.sendall(frame(_HEADERS, 4, stream, block) if complete else frame(_HEADERS, 0, stream, block[:10]))

    def open_odd_call(self, stream: int, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """Sends exactly these headers, of any size."""
        block = header_block(fields)
        pieces = [block[at : at + 16384] for at in range(0, len(block), 16384)]
        for number, piece in enumerate(pieces):
            ends = 4 * (number == len(pieces) - 1)
            self._sock.sendall(frame(_CONTINUATION if number else _HEADERS, ends, stream, piece))

    def send(self, stream: int, data: bytes, *, last: bool = False) -> None:
        pieces = [data[at : at + 16384] for at in range(0, len(data), 16384)]
        for number, piece in enumerate(pieces, 1):
            self._sock.sendall(frame(_DATA, int(last and number == len(pieces)), stream, piece))
        self._sent[stream] += len(data)

    def raw(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self._sock.sendall(data)

    def end(self, stream: int) -> None:
        self._sock.sendall(frame(_DATA, 1, stream, b""))

    def reset(self, stream: int) -> None:
        self._sock.sendall(frame(_RST, 0, stream, (8).to_bytes(4, "big")))

    def room(self, stream: int) -> int:
        """How much may be sent on the stream, as far as we have heard."""
        return min(self.granted(stream) - self._sent[stream], self.granted(0) - sum(self._sent.values()))

    def granted(self, stream: int) -> int:
        """How many bytes the server allowed on the stream (0: on the connection) in all, as far as we have heard."""
        return (self._first_window if stream else FIRST_WINDOW) + self._credit[stream]

    def settle(self) -> None:
        """Takes in what the server has to say to what we sent: a few round trips."""
        for _ in range(3):
            self._sock.sendall(frame(_PING, 0, 0, b"8 bytes!"))
            wanted = self._pings + 1
            while self._pings < wanted:
                self.read()

    def trailers(self, stream: int) -> bytes:
        """The header blocks of the stream once it has ended."""
        while stream not in self.ended:
            self.read()
        return b"".join(self._headers.get(stream, []))

    def read(self) -> None:
        """Takes in one frame. Raises EOFError when the server has closed."""
        try:
            head = self._input.read(9)
        except ConnectionResetError:
            head = b""
        if len(head) < 9:
            raise EOFError
        kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0]
        payload = self._input.read(int.from_bytes(head[:3], "big"))
        if kind == _SETTINGS and not flags & 1:
            for key, value in struct.iter_unpack(">HI", payload):
                if key == 4:
                    self._first_window = value
                elif key == 3:
                    self.max_concurrent_streams = value
            self._sock.sendall(frame(_SETTINGS, 1, 0, b""))
        elif kind == _PING:
            if flags & 1:
                self._pings += 1
            else:
                self._sock.sendall(frame(_PING, 1, 0, payload))
        elif kind == _WINDOW_UPDATE:
            self._credit[stream] += struct.unpack(">I", payload)[0]
        elif kind == _GOAWAY:
            self.goaway = True
        elif kind in (_HEADERS, _DATA, _RST):
            if kind == _HEADERS:
                self._headers.setdefault(stream, []).append(payload)
            if kind == _RST or flags & 1:
                self.ended.add(stream)

    def until_closed(self) -> None:
        try:
            while True:
                self.read()
        except EOFError:
            return


@contextmanager
def http2(port: int, *, initial_window: int | None = None, timeout: float = TIMEOUT) -> Iterator[Http2]:
    """A connection to a plain-text gRPC server; ``initial_window`` is what we let its answers send at first."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as sock:
        yield Http2(sock, initial_window)
