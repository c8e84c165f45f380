"""A exporter whose waiting is done by a thread of its own, so that whoever gives it a batch can stop waiting.

One try for each batch; when to come back is the caller's. Refuses to know what is on the other side.
"""

import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted, Outcome, Unavailable

# A name server that does not answer is bound by no timeout of the transports: after this much more nobody waits.
_GRACE: Final = 2.0
_RETRY_AFTER: Final = 1.0
_ABORTED: Final = Unavailable(_RETRY_AFTER, "no answer before the process ended")


class Transport(Protocol):
    """One connection. Used by one thread."""

    def send(self, batch: Batch) -> Outcome:
        """One try. What it raises counts as Unavailable."""
        ...

    def close(self) -> None:
        """Closes the connection."""
        ...


class _Call:
    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.context = contextvars.copy_context()
        self.answered = threading.Event()
        self.outcome: Outcome | None = None


class BackgroundExporter:
    """For one thread at a time, except ``abort``. After a fork, make a new one and keep the old."""

    def __init__(self, name: str, timeouts: Mapping[Signal, float], connect: Callable[[Signal], Transport]) -> None:
        """``timeouts``: seconds that one try may take, for each signal; ``connect`` makes a signal's transport."""
        self._name = name
        self._timeouts = dict(timeouts)
        self._connect = connect
        self._lock = threading.Lock()
        self._aborted = False
        self._call: _Call | None = None
        self._sender: _SenderThread | None = None

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """One try for each batch; what became of each, in order. Never raises for data or network."""
        return [self._send(batch) for batch in batches]

    def abort(self) -> None:
        """Ends the wait for an answer, from any thread: that batch and all further ones are Unavailable at once.

        The request itself may still arrive.
        """
        with self._lock:
            self._aborted = True
            if self._call is not None:
                self._call.answered.set()

    def close(self) -> None:
        """Closes the connections; the next write opens others."""
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
        if not self._sender.take(call):
            self._sender = None
            return Unavailable(_RETRY_AFTER, "no thread can be started")
        if not call.answered.wait(timeout + _GRACE):
            # Stuck where no timeout reaches. It is left behind with its connection, which it closes if it comes back.
            self._sender.stop()
            self._sender = None
        with self._lock:
            self._call = None
            aborted = self._aborted
        return call.outcome or (_ABORTED if aborted else Unavailable(_RETRY_AFTER, "no answer in time"))


class _SenderThread:
    """A daemon thread that does the waiting."""

    def __init__(self, name: str, connect: Callable[[Signal], Transport]) -> None:
        self._connect = connect
        self._transports: dict[Signal, Transport] = {}
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"otelgres-{name}", daemon=True)
        self._started = False

    def take(self, call: _Call) -> bool:
        if not self._started:
            with contextlib.suppress(RuntimeError):  # an interpreter on its way out, or a limit of the machine
                self._thread.start()
                self._started = True
        self._calls.put(call)
        return self._started

    def stop(self) -> None:
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call.outcome = call.context.run(self._transport(call.batch.signal).send, call.batch)
            except Exception as error:  # noqa: BLE001 — nothing about a network may end this thread
                call.outcome = Unavailable(_RETRY_AFTER, f"{type(error).__name__}: {error}")
            call.answered.set()
        for transport in self._transports.values():
            transport.close()

    def _transport(self, signal: Signal) -> Transport:
        if signal not in self._transports:
            self._transports[signal] = self._connect(signal)
        return self._transports[signal]
