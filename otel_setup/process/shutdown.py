"""The three providers as one thing that can be flushed and ended within a deadline.

The SDK's own shutdown may take 30 s a provider and cannot be hurried, so each provider is ended on a daemon thread and
left behind when time is up. Refuses to know what triggers it: ``hooks`` does.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otel_setup.config.settings import DEFAULT_SHUTDOWN_TIMEOUT

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

    from otel_setup.api.liveness import Liveness
    from otel_setup.export.fork_gate import ForkBarrier
    from otel_setup.export.pipeline import ExportPipeline
    from otel_setup.export.replayer import CollectorReplayer
    from otel_setup.export.stats import Counts
    from otel_setup.sdk_adapter import LoggerProvider
    from otelgres.exporters.spool.folder import SpoolExporter

_logger = logging.getLogger("otel_setup")
# The share of the time for an end that may be spent on a collector which does not answer. The rest is for the spool:
# full queues of three signals are encoded and written in a third of a second.
_ASKING: Final = 0.6
# At the end, and only where the collector answers, the spool is sent for at most this many seconds.
_LONGEST_REPLAY: Final = 1.0


@dataclass(eq=False)
class Telemetry:
    """What ``configure_telemetry`` set up. The providers are None where telemetry is off."""

    tracer_provider: "TracerProvider | None" = None
    meter_provider: "MeterProvider | None" = None
    logger_provider: "LoggerProvider | None" = None
    pipelines: "list[ExportPipeline]" = field(default_factory=list)
    gate: "ForkBarrier | None" = None
    spool: "SpoolExporter | None" = None
    replayer: "CollectorReplayer | None" = None
    liveness: "Liveness | None" = None
    counts: "Counts | None" = None
    handler: logging.Handler | None = None
    shutdown_timeout: float = DEFAULT_SHUTDOWN_TIMEOUT
    ended: bool = False
    _ending: list[threading.Thread] = field(default_factory=list)
    _deadline: float = 0.0

    def stats(self) -> dict[str, dict[str, int]]:
        """What became of this process's telemetry: for each signal, items by disposition; ``values`` changed; ``spool`` bytes.

        ``sent``, ``spooled`` and ``replayed`` (sent from the spool, be it another process's), ``console``, ``stderr``,
        ``refused`` (by the collector, for good), ``dropped`` (no step took them), ``overflowed`` (a queue was full).
        Empty where telemetry is off.
        """
        if self.counts is None:
            return {}
        found = {
            signal.value: {str(disposition): number for disposition, number in dispositions.items()}
            for signal, dispositions in self.counts.items().items()
        }
        found["values"] = {str(change): number for change, number in self.counts.changes().items()}
        found["spool"] = {"bytes": self.spool.bytes_used() if self.spool is not None else 0}
        return found

    def force_flush(self, timeout: float = DEFAULT_SHUTDOWN_TIMEOUT) -> bool:
        """Exports what is queued; True if everything was handed to the exporters within ``timeout`` seconds."""
        if self.ended:
            return True
        deadline = time.monotonic() + timeout
        providers = (self.meter_provider, self.tracer_provider, self.logger_provider)
        return _join(_start(provider.force_flush for provider in providers if provider is not None), deadline)

    def shutdown(self, timeout: float | None = None) -> bool:
        """Flushes and ends everything within ``timeout`` seconds (None: as configured).

        True if all of it ended in time. What is logged or traced afterwards is dropped. A second call, be it from a
        signal handler in the middle of the first, waits for what the first one started, until its deadline.
        """
        if not self.ended:
            self.ended = True
            timeout = self.shutdown_timeout if timeout is None else timeout
            self._deadline = time.monotonic() + timeout
            if self.handler is not None:
                logging.getLogger().removeHandler(self.handler)
            for pipeline in self.pipelines:
                pipeline.stop_retrying()
            providers = (self.meter_provider, self.tracer_provider)
            ends = [provider.shutdown for provider in providers if provider is not None]
            self._ending = _start([*ends, self._end_logs])
            if not _join(self._ending, self._deadline - timeout * (1 - _ASKING)):
                for pipeline in self.pipelines:
                    pipeline.abort()
        in_time = _join(self._ending, self._deadline)
        if self.replayer is not None:
            self.replayer.finish(max(0.0, min(_LONGEST_REPLAY, self._deadline - time.monotonic())))
        for pipeline in self.pipelines:
            if in_time:
                pipeline.close()
            else:
                pipeline.give_up()
        if self.spool is not None and in_time:
            self.spool.close()
        return in_time

    def _end_logs(self) -> None:
        # On a thread: the one that ends us may be a signal handler's, in the middle of putting a record into the queue.
        if self.liveness is not None:
            self.liveness.end()
        if self.logger_provider is not None:
            self.logger_provider.shutdown()


def _start(actions: Iterable[Callable[[], object]]) -> list[threading.Thread]:
    """Runs ``actions`` side by side, each on a daemon thread."""
    threads = []
    for action in actions:
        thread = threading.Thread(target=_quietly, args=(action,), daemon=True)
        threads.append(thread)
        # No thread can be had (limits, an interpreter on its way out): what is queued is lost, the exit is not.
        with contextlib.suppress(RuntimeError):
            thread.start()
    return threads


def _join(threads: list[threading.Thread], deadline: float) -> bool:
    """Waits for ``threads`` until ``deadline`` (monotonic seconds); True if all of them ran to their end."""
    started = [thread for thread in threads if thread.ident is not None]
    for thread in started:
        thread.join(max(0.0, deadline - time.monotonic()))
    return len(started) == len(threads) and not any(thread.is_alive() for thread in started)


def _quietly(action: Callable[[], object]) -> None:
    try:
        action()
    except Exception:  # the SDK reports a failed flush by raising
        _logger.debug("a provider did not end cleanly", exc_info=True)
