"""gRPC over HTTP/2 as data: the message of a unary request, and the meaning of its answer.

Knows no socket. By the gRPC over HTTP2 specification unless a comment says otherwise.
"""

import base64
import gzip
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

# The maximum size of a response that OTLP recommends.
RESPONSE_BYTES: Final = 4 * 1024 * 1024
# A gRPC message is preceded by a flag (1: compressed) and its length.
_PREFIX_BYTES: Final = 5
_CODES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
_BY_NUMBER: Final = {str(number): code for number, code in enumerate(_CODES)}
_OF_HTTP: Final = {
    "400": "INTERNAL",
    "401": "UNAUTHENTICATED",
    "403": "PERMISSION_DENIED",
    "404": "UNIMPLEMENTED",
    "429": "UNAVAILABLE",
    "502": "UNAVAILABLE",
    "503": "UNAVAILABLE",
    "504": "UNAVAILABLE",
}
# HTTP/2 error codes of RST_STREAM. ENHANCE_YOUR_CALM (11) is RESOURCE_EXHAUSTED in gRPC, which in OTLP says that the
# request is too large; it is a temporary limit of the server.
_OF_RESET: Final = {
    **dict.fromkeys((0, 1, 2, 3, 4, 6, 9, 10), "INTERNAL"),
    7: "UNAVAILABLE",
    8: "CANCELLED",
    11: "UNAVAILABLE",
    12: "PERMISSION_DENIED",
}


class CallError(Exception):
    """A call that ended without an answer. ``code`` is the name of a gRPC status code.

    ``unprocessed``: the server has said that it did not look at the request. ``disconnected``: the connection broke.
    """

    def __init__(self, code: str, details: str, *, unprocessed: bool = False, disconnected: bool = False) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.unprocessed = unprocessed
        self.disconnected = disconnected


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of a call. ``trailers`` are bytes for names in ``-bin``, else text; ``body`` is the decoded message."""

    code: str
    details: str = ""
    trailers: Mapping[str, bytes | str] = field(default_factory=dict)
    body: bytes = b""


def timeout_field(seconds: float) -> bytes:
    """The value of ``grpc-timeout``, which has at most eight digits."""
    milliseconds = max(1, math.ceil(seconds * 1e3))
    return b"%dm" % milliseconds if milliseconds < 10**8 else b"%dS" % min(10**8 - 1, milliseconds // 1000)


def framed(message: bytes, *, compress: bool) -> bytes:
    """The body of a request."""
    if compress:
        message = gzip.compress(message, 6, mtime=0)
    return bytes([compress]) + len(message).to_bytes(4, "big") + message


def reset(error_code: int) -> CallError:
    """What a RST_STREAM with ``error_code`` means."""
    code = _OF_RESET.get(error_code, "UNKNOWN")
    # 7, REFUSED_STREAM: the request was not processed.
    return CallError(code, f"the server reset the call (HTTP/2 error {error_code})", unprocessed=error_code == 7)


class Answer:
    """Collects what arrives on the stream of one call."""

    def __init__(self) -> None:
        self.ended = False
        self._fields: dict[str, str] = {}
        self._body = bytearray()

    def add_headers(self, fields: "list[tuple[bytes, bytes]]") -> None:
        """Response headers or trailers."""
        self._fields.update((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)

    def add_data(self, data: bytes) -> None:
        """A part of the body. Raises CallError if the body is too large."""
        if len(self._body) + len(data) > RESPONSE_BYTES + _PREFIX_BYTES:
            raise CallError("INTERNAL", f"the response is larger than {RESPONSE_BYTES} bytes")
        self._body += data

    def reply(self) -> Reply:
        """The answer as a whole, once the stream has ended."""
        status = self._fields.get("grpc-status")
        if status is None:
            return self._without_status()
        code = _BY_NUMBER.get(status, "UNKNOWN")
        details = unquote(self._fields.get("grpc-message", ""), errors="replace")
        trailers = {name: _decoded(name, value) for name, value in self._fields.items()}
        return Reply(code, details, trailers, self._message() if code == "OK" else b"")

    def _without_status(self) -> Reply:
        """The specification says UNKNOWN for most of these, and OTLP drops data for it. A redirect or an answer that is
        not gRPC's says nothing about the data: it is UNAVAILABLE.
        """
        http, content = self._fields.get(":status", ""), self._fields.get("content-type", "")
        if http != "200":
            code = "UNAVAILABLE" if http.startswith("3") else _OF_HTTP.get(http, "UNKNOWN")
            return Reply(code, f"HTTP {http} instead of an answer of gRPC")
        if not content.startswith("application/grpc"):
            return Reply("UNAVAILABLE", f"content-type {content!r} instead of an answer of gRPC")
        return Reply("UNAVAILABLE", "an answer without grpc-status")

    def _message(self) -> bytes:
        """The message; empty if it cannot be read, since the status already says that the request was accepted."""
        message = bytes(self._body[_PREFIX_BYTES : _PREFIX_BYTES + int.from_bytes(self._body[1:_PREFIX_BYTES], "big")])
        if not self._body or not self._body[0]:
            return message
        if self._fields.get("grpc-encoding") != "gzip":
            return b""
        inflate = zlib.decompressobj(wbits=31)
        try:
            message = inflate.decompress(message, RESPONSE_BYTES)
        except zlib.error:
            return b""
        return message if inflate.eof else b""


def _decoded(name: str, value: str) -> bytes | str:
    """Values of names in ``-bin`` are base64, with or without padding; of several, the first counts."""
    if not name.endswith("-bin"):
        return value
    value = value.partition(",")[0].strip()
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4))
    except ValueError:
        return b""
