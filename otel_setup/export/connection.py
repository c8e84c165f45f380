"""One connection to the collector or database for one signal, made when first used and again after a fork.

An export under way holds up a fork for a moment (``fork_gate``), and its answer tells the breaker. Refuses to know what
happens to a batch that is not taken.
"""

import os
import threading
from collections.abc import Callable
from typing import Any

from otel_setup.export.circuit_breaker import CircuitBreaker
from otel_setup.export.fork_gate import ForkBarrier
from otelgres.exporters.background import BackgroundExporter
from otelgres.exporters.batch import Batch
from otelgres.exporters.outcome import Outcome, Unavailable


class ExportConnection:
    """For one thread at a time, except ``abort``."""

    def __init__(self, connect: Callable[[], BackgroundExporter], gate: ForkBarrier, breaker: CircuitBreaker) -> None:
        self.breaker = breaker
        self._connect = connect
        self._gate = gate
        self._exporter: BackgroundExporter | None = None
        self._pid = 0
        self._aborted = False
        # Sinks of a parent process, kept from the garbage collector: their sockets are not ours to close.
        self._inherited: list[Any] = []
        self._making = threading.Lock()

    def send(self, batch: Batch) -> Outcome:
        """One try. Never raises."""
        try:
            with self._gate.passing():
                outcome = self._current().write([batch])[0]
        except Exception as error:  # noqa: BLE001 — nothing that goes wrong in telemetry may reach the application
            outcome = Unavailable(1.0, f"{type(error).__name__}: {error}")
        self.breaker.record(outcome)
        return outcome

    def abort(self) -> None:
        """Ends a try under way and fails all further ones at once."""
        with self._making:
            self._aborted = True
            if self._exporter is not None and self._pid == os.getpid():
                self._exporter.abort()

    def close(self) -> None:
        """Closes the connection; an answer under way may still come."""
        if self._exporter is not None and self._pid == os.getpid():
            self._exporter.close()

    def forked(self) -> None:
        """In the child: the lock may have been held by a thread that did not come along."""
        self._making = threading.Lock()

    def _current(self) -> BackgroundExporter:
        with self._making:
            if self._exporter is None or self._pid != os.getpid():
                if self._exporter is not None:
                    self._inherited.append(self._exporter)
                self._exporter = self._connect()
                self._pid = os.getpid()
                if self._aborted:
                    self._exporter.abort()
            return self._exporter
