"""The two processes under test, the receiver and PostgreSQL behind a proxy, with the faults that they support."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
import psycopg

from otelgres.collector.embedded import Cluster, Login
from otelgres.collector.tools.chaos.interrupts import uninterrupted
from otelgres.collector.tools.chaos.proxy import Proxy

_COMMAND: Final = "import otelgres.collector.cli; otelgres.collector.cli.main()"
_STOP_SECONDS: Final = 40.0
_PAGE_SECONDS: Final = 5.0
_DATABASE: Final = "otelgres"
_SAMPLE_SECONDS: Final = 0.1
# Few connections, so that they can be exhausted.
_SETTINGS: Final = {"max_connections": "30", "shared_buffers": "128MB", "superuser_reserved_connections": "1"}


class ReceiverProcess:
    """``otelgres serve`` on fixed ports, restarted on one spool folder."""

    def __init__(
        self, dsn: str, grpc_address: str, http_address: str, spool: Path, folder: Path, **settings: object
    ) -> None:
        """``settings`` are settings of the receiver by name."""
        self._arguments = [sys.executable, "-c", _COMMAND, "serve", "--json", "--grpc", grpc_address]
        self._arguments += ["--http", http_address]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OTELGRES_")}
        self._environ = {
            **kept,
            "OTELGRES_DSN": dsn,
            "OTELGRES_SPOOL": str(spool),
            **{f"OTELGRES_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self._folder = folder
        self._http = http_address
        self._spool = spool
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / "receiver.log"
        self.crashes: list[str] = []
        """Unexpected exits."""
        self.hung_stops = 0
        """Number of shutdowns that timed out and were killed."""
        self.clean_stops = 0

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Starts the process; it may not be listening yet when this returns."""
        with uninterrupted(), self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments,
                env=self._environ,
                # Keeps the user's otelgres.yaml and Ctrl-C away from it.
                cwd=self._folder,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    @property
    def drained(self) -> bool:
        """Whether it reaches the database and its spool is empty, so that new requests are stored directly."""
        connection = http.client.HTTPConnection(self._http, timeout=_PAGE_SECONDS)
        try:
            connection.request("GET", "/readyz")
            storing = json.loads(connection.getresponse().read()).get("storing")
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()
        return storing == "database" and not any(self._spool.glob("*/*.spool"))

    def kill(self) -> None:
        """kill -9."""
        self._note_crash()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Sends SIGTERM and waits for the exit."""
        self._note_crash()
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.hung_stops += 1
            process.kill()
            process.wait()
            return
        # A process that is still importing has no signal handler yet.
        if code not in (0, -signal.SIGTERM):
            self.crashes.append(f"exit code {code} after SIGTERM")
        self.clean_stops += 1

    def restart_if_ended(self) -> None:
        """Restarts it if it has ended unexpectedly."""
        self._note_crash()
        if self._process is None:
            self.start()

    def _note_crash(self) -> None:
        code = self._process.poll() if self._process is not None else None
        if code is not None:
            self.crashes.append(f"unexpected exit with code {code}")
            self._process = None


class DatabaseProcess:
    """An embedded PostgreSQL with synchronous commit in ``folder``, and the proxy to it that the receiver uses."""

    def __init__(self, folder: Path) -> None:
        self._cluster = Cluster(folder / "data", more=_SETTINGS)
        sockets = folder / "s"
        sockets.mkdir()
        self._socket = Path()
        self.proxy = Proxy(sockets, lambda: self._socket)
        self.dsn = self.proxy.dsn(_DATABASE, Login.OWNER.user)

    @property
    def direct_dsn(self) -> str:
        """The owner's DSN that bypasses the proxy."""
        return self._cluster.dsn(Login.OWNER)

    def start(self) -> None:
        """Starts it, after any kind of exit."""
        with uninterrupted():
            self._cluster.stop()
            self._cluster.start()
        given = psycopg.conninfo.conninfo_to_dict(self.direct_dsn)
        self._socket = Path(str(given["host"])) / f".s.PGSQL.{given['port']}"

    def kill(self) -> None:
        """kill -9 of the postmaster; its children then exit."""
        os.kill(self._cluster.pid, signal.SIGKILL)

    def end(self, *, immediate: bool) -> None:
        """A fast shutdown, or an immediate one (without a checkpoint)."""
        self._cluster.stop(0 if immediate else 30)

    def terminate_backends(self) -> None:
        """Calls pg_terminate_backend for all other client connections."""
        self._execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )

    def read_only(self, *, on: bool) -> None:
        """Makes writes fail as on a standby."""
        self._execute(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if on else 'off'}")
        self._execute("SELECT pg_reload_conf()")

    def exhaust_connections(self, hold: Callable[[], None]) -> None:
        """Uses all available connections while ``hold`` runs."""
        connections: list[psycopg.Connection[object]] = []
        self.terminate_backends()
        try:
            with suppress(psycopg.OperationalError):
                while len(connections) < int(_SETTINGS["max_connections"]) + 1:
                    connections.append(psycopg.connect(self.direct_dsn))
            hold()
        finally:
            for connection in connections:
                connection.close()

    def close(self) -> None:
        """Stops server and proxy."""
        self.proxy.close()
        self._cluster.stop()

    def _execute(self, statement: str) -> None:
        # The faults are an administrator's: settings of the server, ends of other logins' sessions.
        options = "-c default_transaction_read_only=off"
        with psycopg.connect(self._cluster.dsn(Login.SUPERUSER), autocommit=True, options=options) as connection:
            connection.execute(statement.encode())


class MemoryWatch:
    """Samples the resident memory of the process that ``pid`` returns."""

    def __init__(self, pid: Callable[[], int | None]) -> None:
        self._pid = pid
        self._stop = threading.Event()
        self.samples: list[tuple[float, int]] = []
        """(monotonic seconds, bytes)"""
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self._thread.start()

    @property
    def highest(self) -> int:
        """The maximum in bytes; 0 before the first sample."""
        return max((size for _, size in self.samples), default=0)

    def highest_between(self, since: float, until: float) -> int:
        """The maximum in bytes between two times of ``time.monotonic``."""
        return max((size for at, size in self.samples if since <= at < until), default=0)

    def close(self) -> None:
        """Stops the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            pid = self._pid()
            if pid is not None:
                with suppress(psutil.Error):
                    self.samples.append((time.monotonic(), psutil.Process(pid).memory_info().rss))
