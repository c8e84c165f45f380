"""Floods of connections, frames and requests from clients without a token, while a client with one sends spans.

Every flood is bounded in count and in time. A flood is held if each span of the client was stored, the receiver kept
its memory, and it answers as before when the flood is over.
"""

import contextlib
import os
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import httpx

from tests.acceptance.http2_by_hand import TRACES, frame, http2
from tests.attack.result import Result

GROUP: Final = "floods"
SECONDS: Final = 8.0
_PAUSE: Final = 0.05
# Of the receiver, above what it had before: a limit of docs/security.md, less than a tenth of the worst case there.
_MEMORY: Final = 256 << 20
# The flood's own clients take half of the machine: this says only that nobody waited for a timeout.
_SLOWEST: Final = 2.0
# Connections are shared between addresses, before a token is known.
_FLOODING: Final = "127.0.0.2"
_UNKNOWN: Final = "otg_" + "A" * 43


class Receiver(NamedTuple):
    """A receiver that asks for tokens: ports, process id, and a token that may send."""

    grpc: int
    http: int
    pid: int
    token: str


def attack(receiver: Receiver) -> Iterator[Result]:
    """Each flood in turn."""
    for name in FLOODS:
        yield flooded(receiver, name, SECONDS)


def flooded(receiver: Receiver, name: str, seconds: float) -> Result:
    """One of :data:`FLOODS`, for ``seconds``."""
    _reset_peak(receiver.pid)
    before = _memory(receiver.pid, "VmRSS")
    ends = time.monotonic() + seconds
    done = threading.Event()
    answers: list[tuple[int, float]] = []
    client = threading.Thread(target=_send_spans, args=(receiver, done, answers))
    client.start()
    try:
        count = FLOODS[name](receiver, lambda: time.monotonic() < ends)
    finally:
        done.set()
        client.join()
    grown = _memory(receiver.pid, "VmHWM") - before
    statuses = {status for status, _ in answers}
    slowest = max(seconds for _, seconds in answers)
    median = statistics.median(seconds for _, seconds in answers)
    held = (
        statuses == {200} and grown < _MEMORY and slowest < _SLOWEST and _send_span(receiver, httpx.Client())[0] == 200
    )
    figures = (
        f"{count:,} times in {seconds:.0f} s; spans beside it: {len(answers)} sent, statuses {sorted(statuses)}, "
        f"median {median * 1000:.0f} ms, slowest {slowest * 1000:.0f} ms; memory +{grown >> 20} MiB"
    )
    return Result(GROUP, name, figures, held)


def _send_spans(receiver: Receiver, done: threading.Event, answers: list[tuple[int, float]]) -> None:
    with httpx.Client(timeout=30) as client:
        while not done.wait(_PAUSE):
            answers.append(_send_span(receiver, client))


def _send_span(receiver: Receiver, client: httpx.Client) -> tuple[int, float]:
    now = time.time_ns()
    span = {"traceId": os.urandom(16).hex(), "spanId": os.urandom(8).hex(), "name": "modest",
            "startTimeUnixNano": str(now), "endTimeUnixNano": str(now)}  # fmt: skip
    began = time.monotonic()
    try:
        status = client.post(
            f"http://127.0.0.1:{receiver.http}/v1/traces",
            json={"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]},
            headers={"authorization": f"Bearer {receiver.token}"},
        ).status_code
    except httpx.HTTPError:
        status = 0
    return status, time.monotonic() - began


def _reset_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _memory(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) << 10
    raise ValueError(f"no {name}")


def _frames(*kinds: bytes) -> Callable[[Receiver, Callable[[], bool]], int]:
    """Sends the frames again and again on one HTTP/2 connection after another."""

    def flood(receiver: Receiver, goes_on: Callable[[], bool]) -> int:
        count = 0
        data = b"".join(kinds) * 200
        while goes_on():
            with contextlib.suppress(OSError, EOFError), http2(receiver.grpc, timeout=2) as connection:
                connection.open_call(1, TRACES)
                while goes_on():
                    connection.raw(data)
                    count += 200 * len(kinds)
        return count

    return flood


def _rapid_resets(receiver: Receiver, goes_on: Callable[[], bool]) -> int:
    count = 0
    while goes_on():
        with contextlib.suppress(OSError, EOFError), http2(receiver.grpc, timeout=2) as connection:
            for stream in range(1, 20_000, 2):
                if not goes_on():
                    break
                connection.open_call(stream, TRACES)
                connection.reset(stream)
                count += 1
    return count


def _endless_headers(receiver: Receiver, goes_on: Callable[[], bool]) -> int:
    count = 0
    piece = frame(9, 0, 1, b"\x00\x01x\x7f\xff\x7e" + b"y" * 16000)
    while goes_on():
        with contextlib.suppress(OSError, EOFError), http2(receiver.grpc, timeout=2) as connection:
            connection.open_call(1, TRACES, complete=False)
            while goes_on():
                connection.raw(piece)
                count += 1
    return count


def _connections(port: str, first: bytes) -> Callable[[Receiver, Callable[[], bool]], int]:
    """Connections that send ``first`` and then nothing."""

    def flood(receiver: Receiver, goes_on: Callable[[], bool]) -> int:
        count = 0
        with contextlib.ExitStack() as stack:
            opened: list[socket.socket] = []
            while goes_on():
                with contextlib.suppress(OSError):
                    address = ("127.0.0.1", getattr(receiver, port))
                    one = socket.create_connection(address, timeout=1, source_address=(_FLOODING, 0))
                    opened.append(stack.enter_context(one))
                    one.sendall(first)
                    count += 1
                if len(opened) >= 700:
                    stack.pop_all().close()
                    opened.clear()
        return count

    return flood


def _requests(
    method: str, path: str, body: bytes = b"", **headers: str
) -> Callable[[Receiver, Callable[[], bool]], int]:
    def flood(receiver: Receiver, goes_on: Callable[[], bool]) -> int:
        count = 0
        with httpx.Client(timeout=10) as client:
            while goes_on():
                with contextlib.suppress(httpx.HTTPError):
                    client.request(method, f"http://127.0.0.1:{receiver.http}{path}", content=body, headers=headers)
                    count += 1
        return count

    return flood


FLOODS: Final[dict[str, Callable[[Receiver, Callable[[], bool]], int]]] = {
    "calls opened and reset": _rapid_resets,
    "headers that never end": _endless_headers,
    "pings": _frames(frame(6, 0, 0, b"8 bytes!")),
    "settings": _frames(frame(4, 0, 0, struct.pack(">HI", 4, 65535))),
    "empty data frames": _frames(frame(0, 0, 1, b"")),
    "priority frames": _frames(frame(2, 0, 1, b"\0\0\0\0\x10")),
    "window updates": _frames(frame(8, 0, 1, struct.pack(">I", 1))),
    "unknown frames": _frames(frame(99, 0, 0, b"x" * 1000)),
    "gRPC connections": _connections("grpc", b""),
    "gRPC connections with a preface": _connections("grpc", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP connections": _connections("http", b""),
    "HTTP connections with half a header": _connections("http", b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nX-A: "),
    "requests without a token": _requests("POST", "/v1/traces", b"{}", **{"content-type": "application/json"}),
    "requests with an unknown token": _requests("POST", "/v1/traces", b"{}", authorization=f"Bearer {_UNKNOWN}"),
    "bodies without a token": _requests("POST", "/v1/traces", b"x" * (8 << 20)),
    "readiness checks": _requests("GET", "/readyz"),
}
