"""Sends what is in the spool once the collector answers: a daemon thread, oldest first, at half speed.

It is also what asks whether the collector is back, so that exports need not. Files of other processes are sent too,
unless their process has them in use. Refuses to know how batches get into the spool.
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
from otelgres.exporters.spool.folder import ClaimedFile, SpoolExporter, claim, spool_files
from otelgres.exporters.spool.records import REFUSED, SENT

_logger = logging.getLogger("otel_setup")
# Another process may have died and left something.
_SECONDS_BETWEEN_LOOKS: Final = 30.0
# A breaker that may be tried again by the time its pass ends.
_SHORTEST_WAIT: Final = 0.05
# After each batch it pauses for as long as that took, and for as long as its bytes take at this rate: at least half of
# the collector's time, and of this process's, stays for live telemetry.
_BYTES_A_SECOND: Final = 16 * 1024 * 1024


class CollectorReplayer:
    """The thread, and what others may know of it. ``connections`` are its own connections; it shares the exports' breakers."""

    def __init__(
        self,
        spool: SpoolExporter,
        connections: Mapping[Signal, ExportConnection],
        counts: Counts,
        refused: Callable[[Signal, int, str], None],
    ) -> None:
        """``refused`` is told how many items of a signal the collector refused for good, and why."""
        self._spool = spool
        self._connections = connections
        self._counts = counts
        self._refused = refused
        self.forked()

    def forked(self) -> None:
        """In the child, where no thread runs."""
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._pid = 0
        self._final_pass = False
        self._stopping = False
        self._found = False
        self._failed: set[Signal] = set()
        for connection in self._connections.values():
            connection.forked()

    @property
    def probing(self) -> bool:
        """Whether this thread has something to ask the collector with."""
        return self._pid == os.getpid() and (self._found or self._spool.holds())

    def start(self) -> None:
        """Starts the thread in this process, unless it runs. Never raises."""
        if self._pid == os.getpid() or self._stopping:
            return
        self._pid = os.getpid()
        try:
            threading.Thread(target=self._run, name="otelgres-replayer", daemon=True).start()
        except RuntimeError:  # no thread can be had: the next run of the application sends it
            self._stopping = True

    def wake(self) -> None:
        """There is something new in the spool."""
        self._idle.clear()
        self._wake.set()

    def finish(self, timeout: float) -> None:
        """The process ends: sends at full speed for at most ``timeout`` seconds, where the collector answers."""
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
            except Exception:  # whatever it was, the next pass may do better
                _logger.debug("draining the spool failed", exc_info=True)
                wait = _SECONDS_BETWEEN_LOOKS
            if wait and not self._wake.is_set():
                self._idle.set()

    def _pass(self) -> float:
        """Sends what it can; seconds until the next pass makes sense."""
        # At the end each signal is tried once more, however lately it failed.
        self._failed = (
            set()
            if self._final_pass
            else {signal for signal, connection in self._connections.items() if connection.breaker.retry_in()}
        )
        left = bool(self._connections) and self._send_files()
        if self._spool.holds() and not left and not self._all_failed():
            # Only now: with the collector away, each pass would leave one more small file.
            self._spool.seal()
            left = self._send_files()
        self._found = left
        if not left or not self._failed:
            return _SECONDS_BETWEEN_LOOKS
        return max(_SHORTEST_WAIT, min(self._connections[signal].breaker.retry_in() for signal in self._failed))

    def _send_files(self) -> bool:
        """Whether anything is left that is ours to send."""
        left = False
        for path in spool_files(self._spool.folder):
            if self._stopping or self._all_failed():
                return True
            claimed = claim(path)
            if claimed is None:
                continue
            with claimed:
                self._found = self._found or bool(claimed.pending())
                self._send_file(claimed)
                left = left or bool(claimed.pending())
        return left

    def _all_failed(self) -> bool:
        return len(self._failed) == len(self._connections)

    def _send_file(self, claimed: ClaimedFile) -> None:
        for record in claimed.pending():
            connection = self._connections.get(record.batch.signal)
            if self._stopping:
                return
            if connection is None or record.batch.signal in self._failed:
                continue
            began = time.monotonic()
            outcome = connection.send(record.batch)
            if is_retryable(outcome):
                self._failed.add(record.batch.signal)
                continue
            claimed.settle(record, SENT if isinstance(outcome, Accepted) else REFUSED)
            self._count(record.batch, outcome)
            if not self._final_pass:
                self._pause(max(time.monotonic() - began, len(record.batch.payload) / _BYTES_A_SECOND))
        if claimed.damaged and not claimed.pending():
            self._counts.changed("damaged", claimed.damaged)

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._final_pass and (rest := deadline - time.monotonic()) > 0:
            self._wake.wait(rest)
            self._wake.clear()

    def _count(self, batch: Batch, outcome: Outcome) -> None:
        items = count_items(batch)
        refused = min(outcome.rejected, items) if isinstance(outcome, Accepted) else items
        self._counts.add(batch.signal, "refused", refused)
        self._counts.add(batch.signal, "replayed", items - refused)
        if refused:
            self._refused(batch.signal, refused, outcome.message)
