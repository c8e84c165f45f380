"""One connection to the collector or database for one signal, opened at first use and again after a fork.

The outcome of each export updates the circuit breaker.
"""

import os
import threading
from collections.abc import Callable
from typing import Any

from otel_setup.export.circuit_breaker import CircuitBreaker
from otelgres.exporters.background import BackgroundExporter
from otelgres.exporters.batch import Batch
from otelgres.exporters.outcome import Outcome, Unavailable


class ExportConnection:
    """Used by one thread at a time, except ``abort``."""

    def __init__(self, connect: Callable[[], BackgroundExporter], breaker: CircuitBreaker) -> None:
        self.breaker = breaker
        self._connect = connect
        self._exporter: BackgroundExporter | None = None
        self._pid = 0
        self._aborted = False
        # Exporters of the parent process, kept from the garbage collector: their sockets belong to the parent.
        self._inherited: list[Any] = []
        self._lock = threading.Lock()

    def send(self, batch: Batch) -> Outcome:
        """Sends ``batch`` once. Never raises."""
        try:
            outcome = self._current().write([batch])[0]
        except Exception as error:  # noqa: BLE001 — telemetry must not break the application
            outcome = Unavailable(1.0, f"{type(error).__name__}: {error}")
        self.breaker.record(outcome)
        return outcome

    def abort(self) -> None:
        """Aborts an export in progress and fails all further ones immediately."""
        with self._lock:
            self._aborted = True
            if self._exporter is not None and self._pid == os.getpid():
                self._exporter.abort()

    def close(self) -> None:
        """Closes the connection; a pending response may still arrive."""
        if self._exporter is not None and self._pid == os.getpid():
            self._exporter.close()

    def forked(self) -> None:
        """In the child: replaces the lock, which a thread of the parent may have held."""
        self._lock = threading.Lock()

    def _current(self) -> BackgroundExporter:
        with self._lock:
            if self._exporter is None or self._pid != os.getpid():
                if self._exporter is not None:
                    self._inherited.append(self._exporter)
                self._exporter = self._connect()
                self._pid = os.getpid()
                if self._aborted:
                    self._exporter.abort()
            return self._exporter
