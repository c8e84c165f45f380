"""One check a second serves all that ask, and none is begun while another has not ended."""

import asyncio
import math
import threading
from pathlib import Path

from otelgres.collector.database.probe import DatabaseProbe, DatabaseState
from otelgres.collector.queue import readiness
from otelgres.collector.queue.availability import Availability
from otelgres.collector.queue.group_commit import QueueState
from otelgres.collector.queue.readiness import Readiness
from otelgres.exporters.spool.queue import SpoolQueue


class CountingProbe(DatabaseProbe):
    """Answers when it is let, and counts."""

    def __init__(self) -> None:
        super().__init__("")
        self.checks = 0
        self.answers = threading.Semaphore(0)

    def check(self) -> DatabaseState:
        self.checks += 1
        self.answers.acquire()
        return DatabaseState.WRITABLE


class IdleQueue:
    """A queue in which nothing has ever been."""

    def state(self) -> QueueState:
        return QueueState(0.0, 0.0, math.inf, stored=True, full=False)


def test_however_many_ask_there_is_one_check_at_once_and_its_answer_is_kept(tmp_path: Path) -> None:
    async def ask() -> None:
        available = Availability()
        available.mark_available()
        probe = CountingProbe()
        ready = Readiness(IdleQueue(), SpoolQueue(tmp_path, 1 << 20), available, probe, lambda: True)
        try:
            callers = [asyncio.create_task(ready.check()) for _ in range(200)]
            await asyncio.sleep(0)
            probe.answers.release()
            assert {found for found, _ in await asyncio.gather(*callers)} == {True}
            assert probe.checks == 1
            assert (await ready.check())[1] == {"database": "reachable", "schema": True, "storing": "database"}
            assert probe.checks == 1
            # Later, with a database that does not answer.
            ready._found_at -= readiness._FRESH_SECONDS
            for _ in range(3):
                assert not (await ready.check())[0]
            assert probe.checks == 2
        finally:
            probe.answers.release(100)

    asyncio.run(ask())
