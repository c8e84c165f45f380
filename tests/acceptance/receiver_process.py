"""``otelgres`` as the process that a person starts, its database beside it, and what is found there.

Only the command line, the ports and the tables of what is under test are used.
"""

import contextlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from otelgres.collector.cli import main
from otelgres.collector.embedded import Cluster
from tests import postgres
from tests.waiting import TIMEOUT

OTELGRES = (sys.executable, "-c", "from otelgres.collector.cli import main; main()")
# A new connection each time, as from many clients; one client, since each reads all certificates of the system.
_client = httpx.Client(timeout=TIMEOUT, limits=httpx.Limits(max_keepalive_connections=0))


def environment(**more: str) -> dict[str, str]:
    """Ours without what would configure telemetry, receivers or clients of PostgreSQL behind the test's back."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "PG"))}
    return kept | more


def run_otelgres(*arguments: str, timeout: float = TIMEOUT, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command to its end."""
    return subprocess.run(
        [*OTELGRES, *arguments], capture_output=True, text=True, timeout=timeout, env=environment(**environ)
    )


def invoke(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command to its end in this process: for what it says, where its being a process shows nothing.

    A process takes a quarter of a second of CPU before it does anything.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="", write_through=True) for _ in range(2))
    status = 0
    handlers, before, given = list(logging.root.handlers), dict(os.environ), sys.argv
    try:
        given_environment = environment(**environ)
        os.environ.clear()
        os.environ.update(given_environment)
        sys.argv = ["otelgres", *arguments]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        os.environ.clear()
        os.environ.update(before)
        sys.argv = given
        logging.root.handlers[:] = handlers
    out.seek(0)
    err.seek(0)
    return subprocess.CompletedProcess(arguments, status, out.read(), err.read())


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


def get(url: str) -> httpx.Response:
    """The answer to a GET."""
    return _client.get(url)


def post(url: str, **request: Any) -> httpx.Response:
    """The answer to a POST; ``request`` is what httpx takes."""
    return _client.post(url, **request)


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
    return _client.post(f"{http}/v1/traces", json=request).status_code
