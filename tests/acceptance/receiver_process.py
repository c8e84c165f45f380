"""``otelgres`` as the process that a person starts, its database beside it, and what is found there.

Nothing is imported from what is under test: only its command line, its ports and its tables are used.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg
from psycopg.rows import dict_row

from otelgres.collector.embedded import Cluster
from tests import postgres

T = TypeVar("T")
OTELGRES = (sys.executable, "-c", "from otelgres.collector.cli import main; main()")
# Half a minute is what a start can take when every core has ten others waiting for it; a hang is told by pytest anyway.
TIMEOUT = 90.0
_LOOK_AGAIN = 0.05


def environment(**more: str) -> dict[str, str]:
    """Ours without what would configure telemetry, receivers or clients of PostgreSQL behind the test's back."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "PG"))}
    return kept | more


def eventually(look: Callable[[], T], what: str, timeout: float = TIMEOUT) -> T:
    """What ``look`` returns once that is true; an AssertionError naming ``what`` when timeout ends."""
    deadline = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {timeout} s in vain for {what}"
        threading.Event().wait(_LOOK_AGAIN)
    return found


def run_otelgres(*arguments: str, timeout: float = TIMEOUT, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command to its end."""
    return subprocess.run(
        [*OTELGRES, *arguments], capture_output=True, text=True, timeout=timeout, env=environment(**environ)
    )


class OtelgresProcess:
    """``otelgres ARGUMENTS`` running; use as a context manager, which kills what is left."""

    def __init__(self, *arguments: str, stdout: int = subprocess.PIPE, **environ: str) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in __exit__)
        self.process = subprocess.Popen(
            [*OTELGRES, *arguments],
            stdout=stdout,
            stderr=self._errors,
            text=True,
            env=environment(**environ),
            start_new_session=True,  # so that no signal meant for it is for us
        )

    def __enter__(self) -> "OtelgresProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(TIMEOUT)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._errors.close()

    @property
    def errors(self) -> str:
        """What it has said on stderr."""
        self._errors.seek(0)
        return self._errors.read()

    def ready(self) -> dict[str, Any]:
        """The first line on stdout, which is JSON. Waits for it; an end of the process is an AssertionError."""
        assert self.process.stdout is not None
        watchdog = threading.Timer(TIMEOUT, self.process.kill)
        watchdog.start()
        try:
            line = self.process.stdout.readline()
        finally:
            watchdog.cancel()
        assert line, f"it ended with {self.process.wait(TIMEOUT)}: {self.errors}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends the signal and returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT)


class Serving:
    """A receiver that is ready, and the database behind it."""

    def __init__(self, process: OtelgresProcess, ready: dict[str, Any]) -> None:
        self.process = process
        self.grpc: str = ready["grpc"]
        self.http: str = ready["http"]
        self.dsn: str = ready["dsn"]
        self.pid: int = ready["pid"]

    def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        """What SQL says."""
        return rows(self.dsn, query, *parameters)


@contextmanager
def served(cluster: Cluster, template: str) -> Iterator[Serving]:
    """``otelgres serve`` on free ports and on a database of its own."""
    with (
        postgres.new_database(cluster, template) as dsn,
        tempfile.TemporaryDirectory() as spool,
        serve(dsn, spool) as process,
    ):
        yield Serving(process, process.ready())
        assert process.stop() == 0, process.errors


def serve(dsn: str, spool: str, *arguments: str) -> OtelgresProcess:
    """``otelgres serve --json``, on free ports unless ``arguments`` say otherwise."""
    ports = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
    return OtelgresProcess("serve", "--json", *ports, *arguments, OTELGRES_DSN=dsn, OTELGRES_SPOOL=spool)


def up(data: Path, *arguments: str) -> OtelgresProcess:
    """``otelgres up --json``, on free ports unless ``arguments`` say otherwise."""
    ports = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
    return OtelgresProcess("up", "--json", "--data", str(data), *ports, *arguments)


def rows(dsn: str, query: str, *parameters: object) -> list[dict[str, Any]]:
    """What SQL says."""
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        return connection.execute(query.encode(), parameters or None).fetchall()


def send_span(http: str, span_id: str, trace_id: str = "5b8aa5a2d2c872e8321cf37308d69df2") -> int:
    """Sends one span that starts now, as OTLP/JSON; the status of the answer."""
    now = time.time_ns()
    span = {
        "traceId": trace_id,
        "spanId": span_id,
        "name": "sent by hand",
        "kind": 1,
        "startTimeUnixNano": str(now),
        "endTimeUnixNano": str(now + 1000),
    }
    request = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    return httpx.post(f"{http}/v1/traces", json=request, timeout=TIMEOUT).status_code
