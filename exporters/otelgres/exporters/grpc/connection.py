"""HTTP/2 on one socket, as far as unary calls of gRPC need it, one after the other.

Everything that a server may send has a bound, in memory and by the deadline of the call.
"""

import logging
import socket
import ssl
from collections.abc import Sequence
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from otelgres.exporters.grpc.messages import Answer, CallError, Reply, reset
from otelgres.exporters.grpc.sockets import reason, remaining

_READ_BYTES: Final = 64 * 1024
# Larger frames would save little, and the server may allow 16 MiB.
_FRAME_BYTES: Final = 256 * 1024
# The largest frame and header list that we accept: the defaults of HTTP/2 and of the library.
_PEER_FRAME_BYTES: Final = 16 * 1024
_PEER_HEADER_BYTES: Final = 64 * 1024
_FRAME_HEADER_BYTES: Final = 9
_GOAWAY: Final = 7
# The library remembers each stream that has ended, 100 bytes; a new connection now and then costs less.
_CALLS_PER_CONNECTION: Final = 10_000
_MOST_IDLE_READS: Final = 64

# At DEBUG it logs the values of headers, which may be tokens.
logging.getLogger("hpack").setLevel(logging.INFO)


class Connection:
    """HTTP/2 on one socket. After a CallError it must not be used again."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._input = bytearray()
        self._begun = False
        self._going_away = False
        self._calls = 0
        self._stream = 0
        self._answer: Answer | None = None
        self._heard = False
        self._send_error: OSError | None = None
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._h2.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.MAX_FRAME_SIZE: _PEER_FRAME_BYTES,
                SettingCodes.MAX_HEADER_LIST_SIZE: _PEER_HEADER_BYTES,
            },
        )
        self._h2.initiate_connection()

    def is_usable(self) -> bool:
        """Takes in what the server has sent since the last call; False if no further call is possible."""
        try:
            self._sock.settimeout(0)
            for _ in range(_MOST_IDLE_READS):
                data = self._sock.recv(_READ_BYTES)
                if not data:
                    return False
                self._feed(data)
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except (OSError, CallError):
            return False
        return not self._going_away and self._send_error is None and self._calls < _CALLS_PER_CONNECTION

    def call(self, fields: "list[tuple[bytes, bytes]]", body: bytes, deadline: float) -> Reply:
        """Sends one request and waits for its answer until ``deadline``. Raises CallError."""
        self._calls += 1
        self._heard = False
        self._answer = answer = Answer()
        try:
            self._stream = self._h2.get_next_available_stream_id()
            self._h2.send_headers(self._stream, fields)
            rest = memoryview(body)
            while not answer.ended:
                if rest:
                    rest = self._send_data(rest)
                self._flush(deadline)
                self._feed(self._receive(deadline))
        except ProtocolError as error:
            raise CallError("UNAVAILABLE", f"HTTP/2: {error}") from error
        except TimeoutError as error:
            raise CallError("DEADLINE_EXCEEDED", "no answer in time") from error
        except OSError as error:
            raise CallError("UNAVAILABLE", reason(error), disconnected=not self._heard) from error
        finally:
            self._answer = None
        self._finish(rest, deadline)
        return answer.reply()

    def _finish(self, rest: memoryview, deadline: float) -> None:
        """Sends what is left to say after the answer has arrived; a connection where this fails is not used again."""
        try:
            if rest:
                # The server has answered before it has read all.
                self._h2.reset_stream(self._stream, ErrorCodes.CANCEL)
            self._flush(deadline)
        except (ProtocolError, TimeoutError):
            self._going_away = True

    def _send_data(self, rest: memoryview) -> memoryview:
        """Queues as much of ``rest`` as the windows allow and returns what is left."""
        while rest:
            allowed = self._h2.local_flow_control_window(self._stream)
            size = min(len(rest), allowed, self._h2.max_outbound_frame_size, _FRAME_BYTES)
            if size <= 0:
                break
            self._h2.send_data(self._stream, rest[:size].tobytes(), end_stream=size == len(rest))
            rest = rest[size:]
        return rest

    def _flush(self, deadline: float) -> None:
        """Sends what is queued. If the server has closed, its answer may still be there to be read."""
        waiting = memoryview(self._h2.data_to_send())
        try:
            while waiting and self._send_error is None:
                self._sock.settimeout(remaining(deadline))
                waiting = waiting[self._sock.send(waiting) :]
        except TimeoutError:
            raise
        except OSError as error:
            self._send_error = error

    def _receive(self, deadline: float) -> bytes:
        self._sock.settimeout(remaining(deadline))
        data = self._sock.recv(_READ_BYTES)
        if not data:
            raise self._send_error or ConnectionError("the server closed the connection")
        self._heard = True
        return data

    def _feed(self, data: bytes) -> None:
        """Takes in bytes from the server. Raises CallError.

        GOAWAY does not reach the library, which would take no further frame of the call in progress.
        """
        self._input += data
        if not self._begun:
            _check_protocol(self._input)
        while len(self._input) >= _FRAME_HEADER_BYTES:
            length = int.from_bytes(self._input[:3], "big")
            if length > _PEER_FRAME_BYTES:
                raise CallError("UNAVAILABLE", "the answer is not HTTP/2: is this the gRPC port (usually 4317)?")
            end = _FRAME_HEADER_BYTES + length
            if len(self._input) < end:
                break
            frame = bytes(self._input[:end])
            del self._input[:end]
            self._begun = True
            if frame[3] == _GOAWAY:
                self._go_away(frame[_FRAME_HEADER_BYTES:])
                continue
            try:
                events = self._h2.receive_data(frame)
            except Exception as error:  # whatever the parser makes of bytes that are no HTTP/2
                raise CallError("UNAVAILABLE", f"HTTP/2: {type(error).__name__}: {error}") from error
            self._take(events)

    def _go_away(self, payload: bytes) -> None:
        self._going_away = True
        last_stream = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
        if self._answer is not None and last_stream < self._stream:
            raise CallError("UNAVAILABLE", "the server is shutting down (GOAWAY)", unprocessed=True)

    def _take(self, events: "Sequence[Event]") -> None:
        for event in events:
            if isinstance(event, DataReceived):
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            answer = self._answer
            if answer is None or getattr(event, "stream_id", None) != self._stream:
                continue
            if isinstance(event, ResponseReceived | TrailersReceived):
                answer.add_headers(event.headers)
            elif isinstance(event, DataReceived):
                answer.add_data(event.data)
            elif isinstance(event, StreamEnded):
                answer.ended = True
            elif isinstance(event, StreamReset) and not answer.ended:
                raise reset(int(event.error_code))


def _check_protocol(begin: bytearray) -> None:
    """Raises CallError for the first bytes of a server that speaks something else."""
    # A status line, or a page without one; as the length of a frame each would be too large.
    if begin.startswith((b"H", b"<")):
        line = bytes(begin).partition(b"\r\n")[0][:60].decode("latin-1")
        shown = f" ({line})" if line.startswith("HTTP/") and line.isprintable() else ""
        raise CallError(
            "UNAVAILABLE",
            f"this port speaks HTTP/1, not gRPC{shown}: use the gRPC port (usually 4317), or protocol http/protobuf",
        )
    if begin[:2] == b"\x15\x03":
        raise CallError("UNAVAILABLE", "this port uses TLS: use https:// in the endpoint")
