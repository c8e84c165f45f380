"""An exporter that sends on a background thread, so that the caller can stop waiting for the result.

Each batch is tried once; the caller decides when to retry.
"""

import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted, Outcome, Unavailable

# Name resolution is not covered by the timeouts of the transports: wait this many seconds longer, then give up.
_GRACE: Final = 2.0
_RETRY_AFTER: Final = 1.0
_ABORTED: Final = Unavailable(_RETRY_AFTER, "aborted before the answer arrived")


class Transport(Protocol):
    """One connection. Used by one thread."""

    def send(self, batch: Batch) -> Outcome:
        """Tries once. An exception counts as Unavailable."""
        ...

    def close(self) -> None:
        """Closes the connection."""
        ...

    def interrupt(self) -> None:
        """From another thread: ends a try in progress soon, and all later ones, if this can be done."""
        return


class _Call:
    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.context = contextvars.copy_context()
        self.answered = threading.Event()
        self.outcome: Outcome | None = None


class BackgroundExporter:
    """For one thread at a time, except ``abort``. After a fork, create a new one and keep a reference to the old."""

    def __init__(self, name: str, timeouts: Mapping[Signal, float], connect: Callable[[Signal], Transport]) -> None:
        """``timeouts``: seconds for one try, by signal. ``connect`` creates the transport of a signal."""
        self._name = name
        self._timeouts = dict(timeouts)
        self._connect = connect
        self._lock = threading.Lock()
        self._aborted = False
        self._call: _Call | None = None
        self._sender: _SenderThread | None = None

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Tries each batch once and returns the outcomes in order. Never raises for data or network errors."""
        return [self._send(batch) for batch in batches]

    def abort(self) -> None:
        """Stops waiting, from any thread: the current batch and all later ones are Unavailable immediately.

        A request that was already sent may still arrive.
        """
        with self._lock:
            self._aborted = True
            if self._call is not None:
                self._call.answered.set()
            sender = self._sender
        if sender is not None:
            sender.interrupt()

    def close(self) -> None:
        """Closes the connections; the next write opens new ones."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.stop()

    def _send(self, batch: Batch) -> Outcome:
        if not batch.payload:
            return Accepted()
        timeout = self._timeouts.get(batch.signal)
        if timeout is None:
            return Unavailable(_RETRY_AFTER, f"no endpoint for {batch.signal}")
        call = _Call(batch)
        with self._lock:
            if self._aborted:
                return _ABORTED
            self._call = call
            if self._sender is None:
                self._sender = _SenderThread(self._name, self._connect)
        if not self._sender.submit(call):
            self._sender = None
            return Unavailable(_RETRY_AFTER, "cannot start a thread")
        if not call.answered.wait(timeout + _GRACE):
            # The thread is stuck outside any timeout. It is abandoned, and closes its connection if it ever returns.
            self._sender.stop()
            self._sender = None
        with self._lock:
            self._call = None
            aborted = self._aborted
        return call.outcome or (_ABORTED if aborted else Unavailable(_RETRY_AFTER, "no answer in time"))


class _SenderThread:
    """The daemon thread that sends and waits."""

    def __init__(self, name: str, connect: Callable[[Signal], Transport]) -> None:
        self._connect = connect
        self._transports: dict[Signal, Transport] = {}
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"otelgres-{name}", daemon=True)
        self._started = False
        self._interrupted = False

    def submit(self, call: _Call) -> bool:
        if not self._started:
            with contextlib.suppress(RuntimeError):  # interpreter shutdown, or the system's limit of threads
                self._thread.start()
                self._started = True
        self._calls.put(call)
        return self._started

    def stop(self) -> None:
        self._calls.put(None)

    def interrupt(self) -> None:
        self._interrupted = True
        for transport in tuple(self._transports.values()):
            transport.interrupt()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call.outcome = call.context.run(self._transport(call.batch.signal).send, call.batch)
            except Exception as error:  # noqa: BLE001 — no network error may end this thread
                call.outcome = Unavailable(_RETRY_AFTER, f"{type(error).__name__}: {error}")
            call.answered.set()
        for transport in self._transports.values():
            transport.close()

    def _transport(self, signal: Signal) -> Transport:
        if signal not in self._transports:
            self._transports[signal] = self._connect(signal)
            if self._interrupted:
                self._transports[signal].interrupt()
        return self._transports[signal]
