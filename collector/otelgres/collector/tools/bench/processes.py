"""The processes of a measurement: how they are started, spoken to and ended, and what CPU time they used.

Refuses to know what is measured.
"""

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
    """A process of the measurement ended or spoke otherwise than it should; the message has its last words."""


class Worker:
    """A child that takes and gives lines."""

    def __init__(self, process: "subprocess.Popen[str]", name: str) -> None:
        self._process = process
        self._name = name
        self.pid = process.pid

    def send_line(self, line: str) -> None:
        """Sends one line. Raises ProcessError if nobody is there."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ProcessError(f"{self._name} is gone (its words are above)") from error

    def line(self) -> str:
        """The next line it prints. Raises ProcessError where it ended instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ProcessError(f"{self._name} ended with {self._process.wait()} (its words are above)")
        return line.rstrip("\n")

    def answer(self) -> Any:
        """The next line, which is JSON."""
        return orjson.loads(self.line())

    def stop(self) -> None:
        """Ends it in good order, and by force after a while."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()


@contextmanager
def worker(name: str, *arguments: str, environ: Mapping[str, str] | None = None) -> Iterator[Worker]:
    """``python ARGUMENTS`` as a child whose stderr is ours; it is gone when the block ends."""
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
            # A worker ends when its stdin does; one that is busy is not waited for.
            with contextlib.suppress(BrokenPipeError):
                assert process.stdin is not None
                process.stdin.close()
            try:
                process.wait(1.0)
            except subprocess.TimeoutExpired:
                process.kill()


class ReceiverCommand(NamedTuple):
    """A receiver that is ready."""

    worker: Worker
    grpc: str
    http: str


@contextmanager
def receiver(dsn: str) -> Iterator[ReceiverCommand]:
    """``otelgres serve`` on free ports of the loopback interface, stopped in good order when the block ends."""
    command = "import otelgres.collector.cli; otelgres.collector.cli.main()"
    arguments = ("-c", command, "serve", "--json", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
    with (
        # A spool of its own: what the user's spool keeps is for the user's database.
        tempfile.TemporaryDirectory(prefix="otelgres-bench-spool-") as spool,
        worker("the receiver", *arguments, environ={"OTELGRES_DSN": dsn, "OTELGRES_SPOOL": spool}) as serving,
    ):
        ready = serving.answer()
        try:
            yield ReceiverCommand(serving, ready["grpc"], ready["http"])
        finally:
            serving.stop()


def cpu_seconds(pid: int) -> float:
    """CPU time of a process up to now, without its children's."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def family_cpu_seconds(pid: int) -> float:
    """CPU time of a process and its children, the ended ones included: for PostgreSQL, whose backends come and go."""
    parent = psutil.Process(pid)
    times = parent.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for child in parent.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            total += cpu_seconds(child.pid)
    return total
