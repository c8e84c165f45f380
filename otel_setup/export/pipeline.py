"""The export pipeline of one signal: encodes items to a batch and gives it to the first step that accepts it.

The steps are the collector, then those of ``fallback`` (spool, console, stderr). Runs on the SDK's export threads.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from otel_setup.export.connection import ExportConnection
from otel_setup.export.outage import OutageLog
from otel_setup.export.replayer import CollectorReplayer
from otel_setup.export.stats import Counts, Disposition
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.chain import Chain, Exporter, is_retryable
from otelgres.exporters.items import count_items
from otelgres.exporters.outcome import Accepted, Outcome, Unavailable
from otelgres.exporters.redaction import Redaction
from otelgres.exporters.redaction_walk import MessageRedactor
from otelgres.exporters.target import Database, Target

_logger = logging.getLogger("otel_setup")
_Item = TypeVar("_Item")
COLLECTOR: Final = "collector"
# The default limit of gRPC servers is 4 MiB; a larger request would be rejected as a whole, so it is split.
_LARGEST_REQUEST: Final = 3 * 1024 * 1024
_DISPOSITIONS: Final[Mapping[str, Disposition]] = {
    COLLECTOR: "sent", "spool": "spooled", "console": "console", "stderr": "stderr",
}  # fmt: skip


class CollectorStep:
    """The collector as a step. While it is down, only the replayer probes it and batches go to the next step."""

    def __init__(
        self,
        connection: ExportConnection,
        replayer: CollectorReplayer | None,
        retry_seconds: float,
        attempts: int | None = None,
    ) -> None:
        """Without a spool, a batch is retried for ``retry_seconds`` or, if given, sent up to ``attempts`` times."""
        self.connection = connection
        self._replayer = replayer
        self._retry_seconds = retry_seconds if attempts is None else math.inf
        self._attempts = math.inf if attempts is None else attempts
        self.forked()

    def forked(self) -> None:
        """Resets the state in a forked child."""
        self._stopping = threading.Event()
        self.connection.forked()

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """The outcome of each batch; Unavailable immediately if the collector is known to be down."""
        return [self._send(batch) for batch in batches]

    def close(self) -> None:
        """Closes the connection."""
        self.connection.close()

    def stop_retrying(self) -> None:
        """Ends all waiting for another attempt."""
        self._stopping.set()

    def _send(self, batch: Batch) -> Outcome:
        breaker = self.connection.breaker
        if not breaker.available and ((self._replayer is not None and self._replayer.probing) or breaker.retry_in()):
            return Unavailable(breaker.retry_in(), breaker.reason)
        deadline = time.monotonic() + self._retry_seconds
        outcome = self.connection.send(batch)
        attempt = 1
        while self._replayer is None and attempt < self._attempts and is_retryable(outcome):
            wait = breaker.retry_in()
            if time.monotonic() + wait > deadline or self._stopping.wait(wait):
                break
            outcome = self.connection.send(batch)
            attempt += 1
        return outcome


@dataclass(slots=True)
class ExportStats:
    """Batches the collector accepted (``flushes``) or not (``errors``), when last (since 1970), and the last reason."""

    flushes: int = 0
    errors: int = 0
    last_flush: float | None = None
    last_error: float | None = None
    reason: str = ""


class ExportPipeline:
    """The chain of one signal, with counters and warnings."""

    def __init__(
        self,
        signal: Signal,
        target: Target | Database,
        collector_step: CollectorStep,
        fallback: Mapping[str, Exporter],
        replayer: CollectorReplayer | None,
        counts: Counts,
        outage: OutageLog,
        redaction: Redaction | None,
    ) -> None:
        self.signal = signal
        self._redactor = MessageRedactor(redaction) if redaction is not None else None
        self._target = target
        self._collector = collector_step
        self._chain = Chain({COLLECTOR: collector_step, **fallback}, self._on_outcome)
        self._replayer = replayer
        self._counts = counts
        self._outage = outage
        self._closed = False
        self.stats = ExportStats()

    @property
    def failing(self) -> bool:
        """Whether the last export did not reach the collector."""
        return not self._collector.connection.breaker.available

    def export(self, items: Sequence[_Item], encode: Callable[[Sequence[_Item]], Any]) -> bool:
        """Encodes ``items`` as one request, or several if they are large; True if a step accepted each.

        An item that cannot be encoded is dropped alone. Never raises.
        """
        try:
            message = encode(items)
            payload: bytes = message.SerializeToString()
        except Exception:
            if len(items) > 1:
                return self._export_halves(items, encode)
            _logger.debug("an item of %s cannot be encoded and is dropped", self.signal.value, exc_info=True)
            self._counts.add(self.signal, "dropped", 1)
            return False
        if len(payload) > _LARGEST_REQUEST and len(items) > 1:
            return self._export_halves(items, encode)
        # What is encoded has everything that leaves the process: names, resources and metrics too.
        if self._redactor is not None and (changes := self._redactor.redact(message)):
            self._counts.changed("redacted", changes)
            payload = message.SerializeToString()
        return self._write(Batch(self.signal, payload))

    def stop_retrying(self) -> None:
        """The process is shutting down: each remaining batch is sent once, without retries."""
        self._collector.stop_retrying()

    def abort(self) -> None:
        """Aborts the export in progress; the collector gets no more requests."""
        self._collector.stop_retrying()
        self._collector.connection.abort()

    def close(self) -> None:
        """Closes the connection and drops further exports. Returns immediately; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self.abort()
            self._collector.close()

    def give_up(self) -> None:
        """The deadline passed before everything was exported: closes, with a warning."""
        self.close()
        self._outage.warn(
            self._target, "", self._collector.connection.breaker.reason or "no answer before the process ended"
        )

    def forked(self) -> None:
        """Resets the state in a forked child."""
        self._collector.forked()
        self.stats = ExportStats()

    def _export_halves(self, items: Sequence[_Item], encode: Callable[[Sequence[_Item]], Any]) -> bool:
        middle = len(items) // 2
        first = self.export(items[:middle], encode)
        return self.export(items[middle:], encode) and first

    def _write(self, batch: Batch) -> bool:
        if self._closed:
            self._counts.add(self.signal, "dropped", count_items(batch))
            return False
        if self._replayer is not None:
            self._replayer.start()
        outcome = self._chain.write([batch])[0]
        if is_retryable(outcome):
            self._counts.add(self.signal, "dropped", count_items(batch))
            self._outage.report(self.signal, self._target, "", self._collector.connection.breaker.reason)
        return isinstance(outcome, Accepted)

    def _on_outcome(self, step: str, batch: Batch, outcome: Outcome) -> None:
        if step == COLLECTOR:
            self._update_stats(outcome)
        if is_retryable(outcome):
            return
        items = count_items(batch)
        rejected = min(outcome.rejected, items) if isinstance(outcome, Accepted) else items
        self._counts.add(self.signal, "refused", rejected)
        self._counts.add(self.signal, _DISPOSITIONS[step], items - rejected)
        if step == COLLECTOR:
            self._outage.recovered(self.signal, self._target)
            self._outage.rejected(self.signal, self._target, rejected, outcome.message)
            return
        self._outage.report(self.signal, self._target, step, self._collector.connection.breaker.reason)
        if step == "spool" and self._replayer is not None:
            self._replayer.wake()

    def _update_stats(self, outcome: Outcome) -> None:
        if is_retryable(outcome):
            self.stats.errors += 1
            self.stats.last_error = time.time()
            self.stats.reason = self._collector.connection.breaker.reason
        else:
            self.stats.flushes += 1
            self.stats.last_flush = time.time()
