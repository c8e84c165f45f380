"""One signal's way out: scrubbed items become a batch, and the batch goes to the first step that takes it.

The steps are the collector, then what ``fallback`` names (spool, console, stderr). Everything here runs on the export
threads of the SDK. Refuses to know transports and files.
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
from otelgres.exporters.target import Database, Target

_logger = logging.getLogger("otel_setup")
_Item = TypeVar("_Item")
COLLECTOR: Final = "collector"
# gRPC servers take 4 MiB unless told otherwise: a batch beyond goes in parts, or would be refused with all its items.
_LARGEST_REQUEST: Final = 3 * 1024 * 1024
_DISPOSITIONS: Final[Mapping[str, Disposition]] = {
    COLLECTOR: "sent", "spool": "spooled", "console": "console", "stderr": "stderr",
}  # fmt: skip


class CollectorStep:
    """The collector as a step: tried where that makes sense, left to the replayer's probing where it does not."""

    def __init__(
        self,
        connection: ExportConnection,
        replayer: CollectorReplayer | None,
        retry_seconds: float,
        attempts: int | None = None,
    ) -> None:
        """Without a spool a batch is tried for ``retry_seconds`` seconds or, where that is given, ``attempts`` times."""
        self.connection = connection
        self._replayer = replayer
        self._retry_seconds = retry_seconds if attempts is None else math.inf
        self._attempts = math.inf if attempts is None else attempts
        self.forked()

    def forked(self) -> None:
        """In the child."""
        self._stopping = threading.Event()
        self.connection.forked()

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """What the collector answered; Unavailable at once where it is known to be away."""
        return [self._send(batch) for batch in batches]

    def close(self) -> None:
        """Closes the connection."""
        self.connection.close()

    def stop_retrying(self) -> None:
        """No batch waits for another try any more."""
        self._stopping.set()

    def _send(self, batch: Batch) -> Outcome:
        breaker = self.connection.breaker
        if not breaker.available and ((self._replayer is not None and self._replayer.probing) or breaker.retry_in()):
            return Unavailable(breaker.retry_in(), breaker.reason)
        deadline = time.monotonic() + self._retry_seconds
        outcome = self.connection.send(batch)
        tries = 1
        while self._replayer is None and tries < self._attempts and is_retryable(outcome):
            wait = breaker.retry_in()
            if time.monotonic() + wait > deadline or self._stopping.wait(wait):
                break
            outcome = self.connection.send(batch)
            tries += 1
        return outcome


@dataclass(slots=True)
class ExportStats:
    """How exports went: batches that the collector took and did not take, when last (since 1970), and why not."""

    flushes: int = 0
    errors: int = 0
    last_flush: float | None = None
    last_error: float | None = None
    reason: str = ""


class ExportPipeline:
    """The chain of one signal, with everything that happens on it counted and, now and then, told."""

    def __init__(
        self,
        signal: Signal,
        target: Target | Database,
        collector_step: CollectorStep,
        fallback: Mapping[str, Exporter],
        replayer: CollectorReplayer | None,
        counts: Counts,
        outage: OutageLog,
    ) -> None:
        self.signal = signal
        self._target = target
        self._collector = collector_step
        self._chain = Chain({COLLECTOR: collector_step, **fallback}, self._note)
        self._replayer = replayer
        self._counts = counts
        self._outage = outage
        self._closed = False
        self.stats = ExportStats()

    @property
    def failing(self) -> bool:
        """Whether the last export found no collector."""
        return not self._collector.connection.breaker.available

    def export(self, items: Sequence[_Item], encode: Callable[[Sequence[_Item]], Any]) -> bool:
        """Encodes ``items`` as one request, or several if they are large; True if each has found a place.

        An item that cannot be encoded costs itself. Never raises.
        """
        try:
            payload: bytes = encode(items).SerializeToString()
        except Exception:
            if len(items) > 1:
                return self._halves(items, encode)
            _logger.debug("an item of %s cannot be encoded", self.signal.value, exc_info=True)
            self._counts.add(self.signal, "dropped", 1)
            return False
        if len(payload) > _LARGEST_REQUEST and len(items) > 1:
            return self._halves(items, encode)
        return self._place(Batch(self.signal, payload))

    def stop_retrying(self) -> None:
        """The process wants to end: what is left is tried once and not again."""
        self._collector.stop_retrying()

    def abort(self) -> None:
        """Time is running out: the answer under way is not waited for, and the collector is not asked again."""
        self._collector.stop_retrying()
        self._collector.connection.abort()

    def close(self) -> None:
        """Refuses further exports. Returns at once; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self.abort()
            self._collector.close()

    def give_up(self) -> None:
        """Time was up before everything had found a place: closes, and says so."""
        self.close()
        self._outage.warn(
            self._target, "", self._collector.connection.breaker.reason or "no answer before the process ended"
        )

    def forked(self) -> None:
        """In the child."""
        self._collector.forked()
        self.stats = ExportStats()

    def _halves(self, items: Sequence[_Item], encode: Callable[[Sequence[_Item]], Any]) -> bool:
        middle = len(items) // 2
        first = self.export(items[:middle], encode)
        return self.export(items[middle:], encode) and first

    def _place(self, batch: Batch) -> bool:
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

    def _note(self, step: str, batch: Batch, outcome: Outcome) -> None:
        if step == COLLECTOR:
            self._remember(outcome)
        if is_retryable(outcome):
            return
        items = count_items(batch)
        rejected = min(outcome.rejected, items) if isinstance(outcome, Accepted) else items
        self._counts.add(self.signal, "refused", rejected)
        self._counts.add(self.signal, _DISPOSITIONS[step], items - rejected)
        if step == COLLECTOR:
            self._outage.over(self.signal, self._target)
            self._outage.refused(self.signal, self._target, rejected, outcome.message)
            return
        self._outage.report(self.signal, self._target, step, self._collector.connection.breaker.reason)
        if step == "spool" and self._replayer is not None:
            self._replayer.wake()

    def _remember(self, outcome: Outcome) -> None:
        if is_retryable(outcome):
            self.stats.errors += 1
            self.stats.last_error = time.time()
            self.stats.reason = self._collector.connection.breaker.reason
        else:
            self.stats.flushes += 1
            self.stats.last_flush = time.time()
