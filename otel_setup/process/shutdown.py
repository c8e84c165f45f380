"""``Telemetry``: flushes and shuts down the three providers together, within one deadline.

The SDK's own shutdown may take 30 s per provider and cannot be shortened, so each provider shuts down on a daemon
thread, which is abandoned at the deadline.
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
    from otel_setup.export.pipeline import ExportPipeline
    from otel_setup.export.replayer import CollectorReplayer
    from otel_setup.export.stats import Counts
    from otel_setup.sdk_adapter import LoggerProvider
    from otelgres.exporters.spool.exporter import SpoolExporter

_logger = logging.getLogger("otel_setup")
# The share of the shutdown time after which the collector is given up. The rest is for the spool: full queues of three
# signals are encoded and written in a third of a second.
_COLLECTOR_SHARE: Final = 0.6
# At shutdown the spool is replayed for at most this many seconds, if the collector answers.
_LONGEST_REPLAY: Final = 1.0


@dataclass(eq=False)
class Telemetry:
    """The telemetry that ``configure_telemetry`` set up. The providers are None if it is off."""

    tracer_provider: "TracerProvider | None" = None
    meter_provider: "MeterProvider | None" = None
    logger_provider: "LoggerProvider | None" = None
    pipelines: "list[ExportPipeline]" = field(default_factory=list)
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
        """Counts of this process: for each signal the items by disposition, changed ``values``, ``spool`` bytes.

        Dispositions: ``sent``, ``spooled``, ``replayed`` (sent from spool files of any process), ``console``,
        ``stderr``, ``refused`` (rejected permanently by the collector), ``dropped`` (no step accepted them),
        ``overflowed`` (the queue was full). Empty if telemetry is off.
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
        """Exports the queues; True if everything was exported or spooled within ``timeout`` seconds."""
        if self.ended:
            return True
        deadline = time.monotonic() + timeout
        providers = (self.meter_provider, self.tracer_provider, self.logger_provider)
        return _join(_start(provider.force_flush for provider in providers if provider is not None), deadline)

    def shutdown(self, timeout: float | None = None) -> bool:
        """Flushes and shuts down everything within ``timeout`` seconds (None: as configured).

        True if it finished in time. Later records are dropped. A second call, also from a signal handler during the
        first, waits for the first one until its deadline.
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
            if not _join(self._ending, self._deadline - timeout * (1 - _COLLECTOR_SHARE)):
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
        # On its own thread: the signal handler that shuts down may interrupt a thread that holds the queue's lock.
        if self.liveness is not None:
            self.liveness.end()
        if self.logger_provider is not None:
            self.logger_provider.shutdown()


def _start(actions: Iterable[Callable[[], object]]) -> list[threading.Thread]:
    """Runs ``actions`` concurrently, each on a daemon thread."""
    threads = []
    for action in actions:
        thread = threading.Thread(target=_run, args=(action,), daemon=True)
        threads.append(thread)
        # Without a thread (limits, interpreter shutdown) the queue is lost, but the process must exit.
        with contextlib.suppress(RuntimeError):
            thread.start()
    return threads


def _join(threads: list[threading.Thread], deadline: float) -> bool:
    """Waits for ``threads`` until ``deadline`` (monotonic seconds); True if all have finished."""
    started = [thread for thread in threads if thread.ident is not None]
    for thread in started:
        thread.join(max(0.0, deadline - time.monotonic()))
    return len(started) == len(threads) and not any(thread.is_alive() for thread in started)


def _run(action: Callable[[], object]) -> None:
    try:
        action()
    except Exception:  # the SDK raises if a flush fails
        _logger.debug("a provider failed to flush or shut down", exc_info=True)
