"""Sends amplifiers to a running receiver and measures what each costs it: seconds, memory, and the longest stall.

The receiver must run on this machine (Linux), because its memory is read from /proc.
"""

import gzip
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil

from tests.attack.amplifiers import Amplifier

MIB: Final = 1024 * 1024
# Memory of one request: at most so many times its inflated size, and so many bytes more.
MEMORY_FACTOR: Final = 4
MEMORY_CONSTANT: Final = 32 * MIB
_PROBE_PAUSE: Final = 0.005


@dataclass(frozen=True)
class Measured:
    """What one amplifier cost. Bytes are resident memory above that before the request."""

    amplifier: Amplifier
    inflated: int
    status: int
    """The HTTP status of the answer; 0 if there was none in time."""
    seconds: float
    cpu: float
    peak: int
    left: int
    stall: float
    """The longest answer of the health page meanwhile, in seconds."""

    @property
    def factor(self) -> float:
        """Peak memory as a multiple of the inflated size."""
        return self.peak / self.inflated

    @property
    def held(self) -> bool:
        """Whether the answer and the memory are as they should be."""
        return self.status in self.amplifier.answer and self.peak <= MEMORY_FACTOR * self.inflated + MEMORY_CONSTANT

    def line(self) -> str:
        """A line of the table: see :data:`HEADING`."""
        return (
            f"{'held' if self.held else 'BROKEN':6} {self.amplifier.signal:7} {self.inflated / MIB:8.1f} "
            f"{self.status:6} {self.seconds:8.2f} {self.cpu:8.2f} {self.peak / MIB:8.1f} "
            f"{self.factor:7.1f} {self.left / MIB:8.1f} {self.stall * 1000:8.0f}  {self.amplifier.name}"
        )


HEADING: Final = (
    f"{'':6} {'signal':7} {'MiB':>8} {'answer':>6} {'seconds':>8} {'CPU s':>8} {'peak MiB':>8} "
    f"{'factor':>7} {'left MiB':>8} {'stall ms':>8}  amplifier"
)


def measure(
    amplifiers: Iterable[Amplifier],
    http: str,
    pid: int,
    *,
    token: str = "",
    size: int = 8 * MIB,
    timeout: float = 100.0,
) -> Iterator[Measured]:
    """Sends each amplifier, gzipped, to the receiver at ``http`` (``http://host:port``), whose process is ``pid``."""
    url = urlsplit(http)
    address = (url.hostname or "127.0.0.1", url.port or 4318)
    process = psutil.Process(pid)
    for amplifier in amplifiers:
        body = amplifier.make(size)
        inflated, body = len(body), gzip.compress(body, 1)
        before = _resident(pid)
        # Resets the process's peak.
        Path(f"/proc/{pid}/clear_refs").write_text("5")
        cpu = sum(process.cpu_times()[:2])
        with _Probe(address) as probe:
            started = time.monotonic()
            status = _post(address, amplifier, body, token, timeout)
            seconds = time.monotonic() - started
        peak = _resident(pid, "VmHWM")
        cpu = sum(process.cpu_times()[:2]) - cpu
        yield Measured(amplifier, inflated, status, seconds, cpu, peak - before, _resident(pid) - before, probe.longest)


def _resident(pid: int, name: str = "VmRSS") -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


def _post(address: tuple[str, int], amplifier: Amplifier, body: bytes, token: str, timeout: float) -> int:
    head = (
        f"POST /v1/{amplifier.signal} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Type: {amplifier.content_type}\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n"
    )
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    answer = b""
    with suppress(OSError), socket.create_connection(address, timeout=timeout) as connection:
        connection.sendall(head.encode() + b"\r\n" + body)
        while chunk := connection.recv(65536):
            answer += chunk
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0


class _Probe:
    """Asks for the health page all the time, in a thread."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.longest = 0.0
        self._address = address
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "_Probe":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        with suppress(OSError), socket.create_connection(self._address, timeout=300.0) as connection:
            while not self._ending.wait(_PROBE_PAUSE):
                started = time.monotonic()
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                if not connection.recv(65536):
                    return
                self.longest = max(self.longest, time.monotonic() - started)
