"""What stands behind a server under test: a loop of its own in a thread, and a queue that answers as scripted.

Only the queue is scripted; everything in front of it is real.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from otelgres.collector.otlp.export import Pipeline
from otelgres.collector.telemetry.metrics import Metrics
from otelgres.collector.telemetry.rejections import RejectionCounters
from otelgres.exporters.batch import Batch
from otelgres.exporters.outcome import Accepted, Outcome

T = TypeVar("T")
TIMEOUT = 60.0


class StubQueue:
    """Records each batch; answers with ``outcomes`` in turn and with ``Accepted()`` when they are used up."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.metrics = Metrics()
        self.rejections = RejectionCounters()
        self._arrival = asyncio.Condition()
        self.outcomes: list[Outcome | BaseException | Callable[[], Awaitable[Outcome]]] = []

    def pipeline(self, **options: Any) -> Pipeline:
        """What servers are given, with this as the queue."""
        return Pipeline(self, self.metrics, self.rejections, **options)

    def requests(self) -> dict[str, int]:
        """How many requests were counted, by reason."""
        found: Counter[str] = Counter()
        for (name, labels), value in self.metrics.numbers().items():
            if name == "otelcol_receiver_requests":
                found[dict(labels)["reason"]] += int(value)
        return dict(found)

    def clear(self) -> None:
        self.batches.clear()
        self.outcomes.clear()

    async def until(self, count: int) -> None:
        """Wait until ``count`` batches have come in."""
        async with asyncio.timeout(TIMEOUT), self._arrival:
            await self._arrival.wait_for(lambda: len(self.batches) >= count)

    async def submit(self, batch: Batch, settled: Callable[[Outcome], None], sender: str) -> Outcome:
        outcome = await self._outcome(batch)
        settled(outcome)
        return outcome

    async def _outcome(self, batch: Batch) -> Outcome:
        async with self._arrival:
            self.batches.append(batch)
            self._arrival.notify_all()
        if not self.outcomes:
            return Accepted()
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        if callable(outcome):
            return await outcome()
        return outcome


class LoopThread:
    """An event loop in a thread, so that clients that block can be used from the test itself."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="server-loop", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.start(coroutine).result(TIMEOUT)

    def start(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def close(self) -> None:
        async def cancel_all() -> None:
            rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        self.run(cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(TIMEOUT)
        self.loop.close()


@contextmanager
def loop_thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    try:
        yield thread
    finally:
        thread.close()
