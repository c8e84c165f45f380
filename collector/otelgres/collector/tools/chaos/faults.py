"""Fault injection: two independent seeded schedules, so that faults overlap.

One thread injects faults into the receiver, the other into the database, the network and the disk.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from otelgres.collector.tools.chaos.damage import SpoolDamage
from otelgres.collector.tools.chaos.disk import SmallDisk
from otelgres.collector.tools.chaos.processes import DatabaseProcess, ReceiverProcess

# Maximum duration of a database fault; most are much shorter.
_LONGEST_OUTAGE: Final = 5.0
_KILL, _KILL_DATABASE = "receiver kill -9", "PostgreSQL kill -9"


class Schedule:
    """Injects faults for ``seconds`` and until ``kills`` kills are done, then ends all faults."""

    def __init__(
        self,
        receiver: ReceiverProcess,
        database: DatabaseProcess,
        disk: SmallDisk,
        damage: SpoolDamage,
        *,
        seed: int,
        seconds: float,
        kills: int,
    ) -> None:
        self._receiver = receiver
        self._database = database
        self._disk = disk
        self._damage = damage
        self._seconds = seconds
        self._kills = kills
        self._stop = threading.Event()
        self._began = 0.0
        self.counts: Counter[str] = Counter()
        """Number of injections by fault."""
        self.errors: list[BaseException] = []
        """Errors of the fault injection itself."""
        plans = {"break-receiver": self._at_receiver, "break-database": self._at_database}
        self._threads = [
            threading.Thread(target=self._run, args=(plan, random.Random(f"{seed} {name}")), name=name, daemon=True)  # noqa: S311
            for name, plan in plans.items()
        ]

    @property
    def kills(self) -> int:
        """Number of processes killed so far."""
        return self.counts[_KILL] + self.counts[_KILL_DATABASE]

    @property
    def running(self) -> bool:
        """Whether faults are still being injected."""
        return any(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        """Begins."""
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Stops it; when this returns, both processes run and all faults have ended."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _run(self, act: Callable[[random.Random], None], rng: random.Random) -> None:
        try:
            while not self._over():
                act(rng)
        except BaseException as error:  # noqa: BLE001 (raised at the end, by the main thread)
            self.errors.append(error)

    def _over(self) -> bool:
        elapsed = time.monotonic() - self._began
        done = elapsed >= self._seconds and self.kills >= self._kills
        # Limits the time on a machine that is too slow for that many kills.
        return self._stop.is_set() or done or elapsed >= 3 * self._seconds + 60

    def _behind(self, kills: int) -> bool:
        """Whether a thread, which has half of the kills to do, is behind schedule."""
        due = self._kills / 2 * min(1.0, (time.monotonic() - self._began) / self._seconds)
        return kills < due

    def _wait(self, rng: random.Random, shortest: float, longest: float) -> None:
        self._stop.wait(rng.uniform(shortest, longest))

    def _at_receiver(self, rng: random.Random) -> None:
        self._wait(rng, 0.5, 3.0)
        self._receiver.restart_if_ended()
        if self._behind(self.counts[_KILL]) or rng.random() < 0.7:
            self.counts[_KILL] += 1
            self._receiver.kill()
        else:
            self.counts["receiver SIGTERM"] += 1
            self._receiver.stop()
        if rng.random() < 0.5 and (done := self._damage.damage_one_file(rng)):
            self.counts[done] += 1
        if rng.random() < 0.3:
            self._wait(rng, 0.0, 1.5)
        self._receiver.start()
        # It may usually start before the next kill: a receiver killed during its start has acknowledged nothing.
        if rng.random() < 0.8:
            self._wait(rng, 1.0, 2.0)

    def _at_database(self, rng: random.Random) -> None:
        self._wait(rng, 0.3, 2.0)
        if self._behind(self.counts[_KILL_DATABASE]):
            self._kill_database(rng)
            return
        faults: Sequence[tuple[str, Callable[[random.Random], None]]] = (
            (_KILL_DATABASE, self._kill_database),
            ("PostgreSQL fast restart", self._restart),
            ("PostgreSQL immediate restart", self._restart_immediately),
            ("backends terminated", self._terminate),
            ("connections cut mid-stream", self._cut_mid_stream),
            ("answers lost, then cut", self._lose_answers),
            ("network frozen", self._freeze),
            ("network gone", self._refuse),
            ("read-only", self._read_only),
            ("connections exhausted", self._exhaust),
            *((("spool disk full", self._fill_disk),) if self._disk.limited else ()),
        )
        name, fault = rng.choice(faults)
        if fault != self._kill_database:
            self.counts[name] += 1
        fault(rng)

    def _kill_database(self, rng: random.Random) -> None:
        self.counts[_KILL_DATABASE] += 1
        self._database.kill()
        self._wait(rng, 0.0, 2.0 if rng.random() < 0.7 else _LONGEST_OUTAGE)
        self._database.start()

    def _restart(self, rng: random.Random) -> None:
        self._database.end(immediate=False)
        self._wait(rng, 0.0, _LONGEST_OUTAGE)
        self._database.start()

    def _restart_immediately(self, rng: random.Random) -> None:
        self._database.end(immediate=True)
        self._wait(rng, 0.0, 2.0)
        self._database.start()

    def _terminate(self, rng: random.Random) -> None:
        for _ in range(rng.randint(1, 5)):
            self._database.terminate_backends()
            self._wait(rng, 0.02, 0.3)

    def _cut_mid_stream(self, rng: random.Random) -> None:
        for _ in range(rng.randint(1, 5)):
            self._database.proxy.cut(after=rng.randint(1, 20_000))
            self._wait(rng, 0.05, 0.4)

    def _lose_answers(self, rng: random.Random) -> None:
        # Commits whose answer the receiver does not get: the hardest case for exactly-once storage.
        for _ in range(rng.randint(1, 3)):
            self._database.proxy.freeze(requests=False)
            self._wait(rng, 0.05, 0.5)
            self._database.proxy.cut()
            self._database.proxy.restore()
            self._wait(rng, 0.05, 0.5)

    def _freeze(self, rng: random.Random) -> None:
        self._database.proxy.freeze()
        self._wait(rng, 0.2, 3.0)
        if rng.random() < 0.5:
            self._database.proxy.cut()
        self._database.proxy.restore()

    def _refuse(self, rng: random.Random) -> None:
        self._database.proxy.refuse()
        self._wait(rng, 0.2, _LONGEST_OUTAGE)
        self._database.proxy.restore()

    def _read_only(self, rng: random.Random) -> None:
        self._database.read_only(on=True)
        self._wait(rng, 0.2, 3.0)
        self._database.read_only(on=False)

    def _exhaust(self, rng: random.Random) -> None:
        self._database.exhaust_connections(lambda: self._wait(rng, 0.2, 2.0))

    def _fill_disk(self, rng: random.Random) -> None:
        self._database.proxy.refuse()
        self._disk.fill()
        self._wait(rng, 0.5, 3.0)
        if rng.random() < 0.5:
            self._database.proxy.restore()
            self._wait(rng, 0.2, 1.0)
        self._disk.release()
        self._database.proxy.restore()
