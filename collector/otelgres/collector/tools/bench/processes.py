"""The processes of a benchmark: start, communication, stop, and CPU time."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson
import psutil

_END_SECONDS = 30.0


class ProcessError(RuntimeError):
    """A process of the benchmark ended or answered unexpectedly."""


class Worker:
    """A child process that reads and prints lines."""

    def __init__(self, process: "subprocess.Popen[str]", name: str) -> None:
        self._process = process
        self._name = name
        self.pid = process.pid

    def send_line(self, line: str) -> None:
        """Sends one line. Raises ProcessError if the process has ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ProcessError(f"{self._name} has ended (see its output above)") from error

    def line(self) -> str:
        """The next line it prints. Raises ProcessError if it ends instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ProcessError(f"{self._name} ended with exit status {self._process.wait()} (see its output above)")
        return line.rstrip("\n")

    def answer(self) -> Any:
        """The next line, decoded from JSON."""
        return orjson.loads(self.line())

    def stop(self) -> None:
        """Stops it, and kills it after a timeout."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()


@contextmanager
def worker(name: str, *arguments: str, environ: Mapping[str, str] | None = None) -> Iterator[Worker]:
    """Runs ``python ARGUMENTS`` as a child with our stderr; it has ended when the block ends."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **(environ or {})},
        text=True,
    )
    with process:
        try:
            yield Worker(process, name)
        finally:
            # A worker ends when its stdin is closed; there is no wait for a busy one.
            with contextlib.suppress(BrokenPipeError):
                assert process.stdin is not None
                process.stdin.close()
            try:
                process.wait(1.0)
            except subprocess.TimeoutExpired:
                process.kill()


class ReceiverCommand(NamedTuple):
    """A running receiver."""

    worker: Worker
    grpc: str
    http: str


@contextmanager
def receiver(dsn: str) -> Iterator[ReceiverCommand]:
    """Runs ``otelgres serve`` on free loopback ports until the block ends."""
    command = "import otelgres.collector.cli; otelgres.collector.cli.main()"
    arguments = ("-c", command, "serve", "--json", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
    with (
        # A temporary spool: the user's spool belongs to the user's database.
        tempfile.TemporaryDirectory(prefix="otelgres-bench-spool-") as spool,
        worker("the receiver", *arguments, environ={"OTELGRES_DSN": dsn, "OTELGRES_SPOOL": spool}) as serving,
    ):
        ready = serving.answer()
        try:
            yield ReceiverCommand(serving, ready["grpc"], ready["http"])
        finally:
            serving.stop()


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far, without its children."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def family_cpu_seconds(pid: int) -> float:
    """CPU seconds of a process and its children, including ended ones such as PostgreSQL backends."""
    parent = psutil.Process(pid)
    times = parent.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for child in parent.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            total += cpu_seconds(child.pid)
    return total
