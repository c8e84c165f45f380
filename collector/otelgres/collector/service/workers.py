"""Several receiver processes on the same ports: started and stopped together, restarted when one ends.

The kernel distributes connections among the listeners of a port (SO_REUSEPORT); a port used by another program is an
error.
"""

import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from types import TracebackType
from typing import Final, Self

from otelgres.collector.service.settings import ReceiverSettings, SettingError, parse_address
from otelgres.collector.system.listen import listen

log = logging.getLogger(__name__)

_READY_SECONDS: Final = 60.0
_RESTART_SECONDS: Final = 1.0


class Workers:
    """``settings.workers`` processes; a context manager. :attr:`settings` has the actual ports once entered."""

    def __init__(self, settings: ReceiverSettings, dsn: str, maintenance_dsn: str | None) -> None:
        if not hasattr(socket, "SO_REUSEPORT"):
            raise SettingError("workers must be 1: this system cannot share a port among processes.")
        self.settings = settings
        self._dsn = dsn
        self._maintenance_dsn = maintenance_dsn
        self._reserved: list[socket.socket] = []
        self._processes: list[subprocess.Popen[str]] = []
        self._stopping = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="workers", daemon=True)

    def __enter__(self) -> Self:
        try:
            grpc, http = self._reserve("OTLP/gRPC", "grpc"), self._reserve("OTLP/HTTP", "http")
            self.settings = replace(self.settings, grpc=grpc, http=http)
            self._processes = [self._start() for _ in range(self.settings.workers)]
            for process in self._processes:
                self._await_ready(process)
        except BaseException:
            self._stop()
            raise
        self._supervisor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._supervisor.join(_READY_SECONDS)
        self._stop()

    def _reserve(self, name: str, key: str) -> str:
        """Checks that the port is free, then binds it with SO_REUSEPORT, so that only our workers can share it."""
        host, port = parse_address(getattr(self.settings, key), key)
        listen(name, host, port, reuse_port=False, backlog=1).close()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        reserved = socket.socket(family, socket.SOCK_STREAM)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind((host, port))
        self._reserved.append(reserved)
        port = reserved.getsockname()[1]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "otelgres.collector.service.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        given = {"settings": asdict(self.settings), "dsn": self._dsn, "maintenance_dsn": self._maintenance_dsn}
        process.stdin.write(json.dumps(given) + "\n")
        process.stdin.flush()
        return process

    @staticmethod
    def _await_ready(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SettingError(f"A worker ended before it was ready (exit {process.wait()}): see the log above.")

    def _supervise(self) -> None:
        while not self._stopping.wait(_RESTART_SECONDS):
            for index, process in enumerate(self._processes):
                if process.poll() is not None and not self._stopping.is_set():
                    log.warning("worker %d ended (exit %d); starting another", process.pid, process.returncode)
                    self._processes[index] = self._start()

    def _stop(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self.settings.shutdown_seconds * 2 + 5
        for process in self._processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for reserved in self._reserved:
            reserved.close()
