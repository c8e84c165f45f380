"""Replays the spool once the collector answers: on a daemon thread, oldest batch first, at half speed.

It also probes whether the collector is available again, so that exports do not. Files of other processes are replayed
too, unless their process is using them.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from opentelemetry.context import attach, set_value

from otel_setup.export.connection import ExportConnection
from otel_setup.export.stats import Counts
from otel_setup.sdk_adapter import SUPPRESS_INSTRUMENTATION
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.chain import is_retryable
from otelgres.exporters.items import count_items
from otelgres.exporters.outcome import Accepted, Outcome
from otelgres.exporters.spool.exporter import SpoolExporter
from otelgres.exporters.spool.files import SpoolFile, open_file, spool_files

_logger = logging.getLogger("otel_setup")
# For files that another process left when it died.
_SECONDS_BETWEEN_PASSES: Final = 30.0
# The breaker may be due again by the end of a pass.
_SHORTEST_WAIT: Final = 0.05
# The pause after each batch lasts as long as the batch took, or as its bytes take at this rate: at least half of the
# time of the collector and of this process is left for live telemetry.
_BYTES_A_SECOND: Final = 16 * 1024 * 1024


class CollectorReplayer:
    """The replay thread. It owns ``connections`` and shares their circuit breakers with the exports."""

    def __init__(
        self,
        spool: SpoolExporter,
        connections: Mapping[Signal, ExportConnection],
        counts: Counts,
        on_rejected: Callable[[Signal, int, str], None],
    ) -> None:
        """``on_rejected`` gets the signal, the number of permanently rejected items and the reason."""
        self._spool = spool
        self._connections = connections
        self._counts = counts
        self._on_rejected = on_rejected
        self.forked()

    def forked(self) -> None:
        """Resets the state in a forked child, where no thread runs."""
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._pid = 0
        self._final_pass = False
        self._stopping = False
        self._kept: set[str] = set()
        self._has_pending = False
        self._failed: set[Signal] = set()
        for connection in self._connections.values():
            connection.forked()

    @property
    def probing(self) -> bool:
        """Whether this thread has batches to probe the collector with."""
        return self._pid == os.getpid() and (self._has_pending or self._spool.holds())

    def start(self) -> None:
        """Starts the thread in this process, unless it is running. Never raises."""
        if self._pid == os.getpid() or self._stopping:
            return
        self._pid = os.getpid()
        try:
            threading.Thread(target=self._run, name="otelgres-replayer", daemon=True).start()
        except RuntimeError:  # too many threads: the next run of the application replays the spool
            self._stopping = True

    def wake(self) -> None:
        """The spool has a new batch."""
        self._idle.clear()
        self._wake.set()

    def finish(self, timeout: float) -> None:
        """At shutdown: replays at full speed for at most ``timeout`` seconds if the collector answers, then stops."""
        if self._pid == os.getpid() and not self._stopping:
            self._final_pass = True
            self.wake()
            self._idle.wait(timeout)
        self._stopping = True
        self._wake.set()
        for connection in self._connections.values():
            connection.abort()

    def _run(self) -> None:
        attach(set_value(SUPPRESS_INSTRUMENTATION, True))
        wait = 0.0
        while not self._stopping:
            self._wake.wait(wait)
            self._wake.clear()
            try:
                wait = self._pass()
            except Exception:  # the next pass tries again
                _logger.debug("replaying the spool failed", exc_info=True)
                wait = _SECONDS_BETWEEN_PASSES
            if wait and not self._wake.is_set():
                self._idle.set()

    def _pass(self) -> float:
        """Sends what it can; returns the seconds until the next pass."""
        # The final pass tries each signal once more, even one that has just failed.
        self._failed = (
            set()
            if self._final_pass
            else {signal for signal, connection in self._connections.items() if connection.breaker.retry_in()}
        )
        left = bool(self._connections) and self._send_files()
        if self._spool.holds() and not left and not self._all_failed():
            # Not while the collector is down: each pass would leave another small file.
            self._spool.seal()
            left = self._send_files()
        self._has_pending = left
        if not left or not self._failed:
            return _SECONDS_BETWEEN_PASSES
        return max(_SHORTEST_WAIT, min(self._connections[signal].breaker.retry_in() for signal in self._failed))

    def _send_files(self) -> bool:
        """Sends all files that can be claimed; returns whether batches are left in them."""
        left = False
        for path in spool_files(self._spool.folder):
            if self._stopping or self._all_failed():
                return True
            file = open_file(path)
            if file is None:
                continue
            if file.version and path.name not in self._kept:
                self._kept.add(path.name)
                _logger.warning(
                    "%s is kept: it was written by another version of otelgres (spool format %s), which can send it "
                    "(otelgres replay DIR)",
                    path,
                    file.version,
                )
            with file:
                self._has_pending = self._has_pending or bool(file.pending())
                self._send_file(file)
                left = left or bool(file.pending())
        return left

    def _all_failed(self) -> bool:
        return len(self._failed) == len(self._connections)

    def _send_file(self, file: SpoolFile) -> None:
        for entry in file.pending():
            connection = self._connections.get(entry.signal)
            if self._stopping:
                return
            if connection is None or entry.signal in self._failed:
                continue
            batch = file.read(entry)
            if batch is None:
                continue
            began = time.monotonic()
            outcome = connection.send(batch)
            if is_retryable(outcome):
                self._failed.add(entry.signal)
                continue
            file.settle(entry)
            self._count(batch, outcome)
            if not self._final_pass:
                self._pause(max(time.monotonic() - began, entry.length / _BYTES_A_SECOND))
        if file.damaged and not file.pending():
            self._counts.changed("damaged", max(1, file.lost))

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._final_pass and (rest := deadline - time.monotonic()) > 0:
            self._wake.wait(rest)
            self._wake.clear()

    def _count(self, batch: Batch, outcome: Outcome) -> None:
        items = count_items(batch)
        rejected = min(outcome.rejected, items) if isinstance(outcome, Accepted) else items
        self._counts.add(batch.signal, "refused", rejected)
        self._counts.add(batch.signal, "replayed", items - rejected)
        if rejected:
            self._on_rejected(batch.signal, rejected, outcome.message)
