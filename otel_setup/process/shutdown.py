"""``Telemetry``: flushes and shuts down the three providers together, within one deadline.

The SDK's own shutdown may take 30 s per provider and cannot be shortened, so each provider shuts down on a daemon
thread, which is abandoned at the deadline.
"""

import _thread
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
# After the deadline: closing files and connections, and a warning.
_CLOSING_SECONDS: Final = 2.0


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
    _deadline: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _finished: bool = False
    _in_time: bool = False

    @property
    def ended(self) -> bool:
        """Whether a shutdown has begun."""
        return self._deadline is not None

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
            return self.shutdown(timeout)
        deadline = time.monotonic() + timeout
        providers = (self.meter_provider, self.tracer_provider, self.logger_provider)
        return _join(_start(provider.force_flush for provider in providers if provider is not None), deadline)

    def shutdown(self, timeout: float | None = None) -> bool:
        """Flushes and shuts down everything within ``timeout`` seconds (None: as configured).

        True if it finished in time. Later records are dropped. Further calls, also from a signal handler during the
        first, wait until the first has finished, for no longer than its deadline.
        """
        if self._deadline is None:
            self._deadline = time.monotonic() + (self.shutdown_timeout if timeout is None else timeout)
        if self.handler is not None:
            # Here and not on the thread below: a signal may have interrupted a thread that holds logging's lock.
            logging.getLogger().removeHandler(self.handler)
        finished = threading.Event()

        def end(deadline: float) -> None:
            self._end(deadline)
            finished.set()

        # A thread for each call: a signal handler may have interrupted the first call before it started one. Not a
        # Thread: the handler may have interrupted the start of one, which holds a lock that a second would wait for.
        try:
            _thread.start_new_thread(end, (self._deadline,))
        except RuntimeError:  # limits, or the interpreter's shutdown
            self._end(self._deadline)
        else:
            finished.wait(max(0.0, self._deadline + _CLOSING_SECONDS - time.monotonic()))
        return self._in_time

    def forked(self) -> None:
        """In the child: another thread may have held the lock; what the parent was flushing is not the child's."""
        self._lock = threading.Lock()
        self._finished = self.ended

    def _end(self, deadline: float) -> None:
        """Does the work of the first call; later ones wait for it."""
        if not self._lock.acquire(timeout=max(0.0, deadline + _CLOSING_SECONDS - time.monotonic())):
            return
        try:
            if not self._finished:
                self._in_time = self._flush_and_close(deadline)
        except Exception:
            _logger.debug("the shutdown failed", exc_info=True)
        finally:
            self._finished = True
            self._lock.release()

    def _flush_and_close(self, deadline: float) -> bool:
        for pipeline in self.pipelines:
            pipeline.stop_retrying()
        providers = (self.meter_provider, self.tracer_provider)
        actions = [provider.shutdown for provider in providers if provider is not None]
        threads = _start([*actions, self._end_logs])
        left = max(0.0, deadline - time.monotonic())
        if not _join(threads, deadline - left * (1 - _COLLECTOR_SHARE)):
            for pipeline in self.pipelines:
                pipeline.abort()
        in_time = _join(threads, deadline)
        if self.replayer is not None:
            self.replayer.finish(max(0.0, min(_LONGEST_REPLAY, deadline - time.monotonic())))
        for pipeline in self.pipelines:
            if in_time:
                pipeline.close()
            else:
                pipeline.give_up()
        if self.spool is not None and in_time:
            self.spool.close()
        return in_time

    def _end_logs(self) -> None:
        # On its own thread: the signal handler that shuts down may have interrupted one that holds the queue's lock.
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
