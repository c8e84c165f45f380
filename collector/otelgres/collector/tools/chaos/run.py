"""One chaos run: starts all processes, sends load, injects faults, waits for the spool, compares, and cleans up."""

import shutil
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otelgres.collector.tools.chaos.damage import SpoolDamage
from otelgres.collector.tools.chaos.disk import SmallDisk
from otelgres.collector.tools.chaos.faults import Schedule
from otelgres.collector.tools.chaos.items import Items
from otelgres.collector.tools.chaos.ledger import SentLedger
from otelgres.collector.tools.chaos.processes import DatabaseProcess, MemoryWatch, ReceiverProcess
from otelgres.collector.tools.chaos.reconciliation import Reconciliation, reconcile
from otelgres.collector.tools.chaos.senders import Senders
from otelgres.exporters.plural import counted

_SENDERS: Final = 8
_PACE: Final = 0.02
# The disk is smaller than the spool's limit, so that a full spool and a full disk are both tested.
_MAX_SPOOL_BYTES: Final = 5_000_000
_DISK_BYTES: Final = 8_000_000
_ANSWER_SECONDS: Final = 60.0
_DRAIN_SECONDS: Final = 120.0
_POLL: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosPlan:
    """The parameters: faults for ``seconds`` and until ``kills`` kills, determined by ``seed``."""

    seconds: float
    seed: int
    kills: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosResult:
    """The result of a run."""

    reconciliation: Reconciliation
    kills: int
    faults: dict[str, int]
    requests: dict[str, int]
    answers: dict[str, int]
    unexpected: list[str]
    crashes: list[str]
    clean_stops: int
    hung_stops: int
    log_errors: dict[str, int]
    answered: bool
    replayed: bool
    replay_seconds: float
    highest_rss: int
    disk_limited: bool
    seconds: float

    @property
    def right(self) -> bool:
        """Whether delivery was correct under all faults."""
        faulty = self.unexpected or self.crashes or self.hung_stops
        return self.reconciliation.right and self.answered and self.replayed and not faulty


def run(plan: ChaosPlan, progress: Callable[[str], None]) -> ChaosResult:
    """Runs it in bounded time and removes all its data. Raises EmbeddedPostgresError, OSError."""
    began = time.monotonic()
    ledger = SentLedger()
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        disk = SmallDisk(folder / "spool", _DISK_BYTES)
        stack.callback(disk.close)
        database = DatabaseProcess(folder)
        stack.callback(database.close)
        progress("starting PostgreSQL and the receiver")
        database.start()
        grpc, http = free_addresses(2)
        receiver = ReceiverProcess(database.dsn, grpc, http, disk.folder, folder, max_spool_bytes=_MAX_SPOOL_BYTES)
        stack.callback(receiver.kill)
        receiver.start()
        memory = MemoryWatch(lambda: receiver.pid)
        stack.callback(memory.close)
        senders = Senders(Items(plan.seed, time.time_ns()), ledger, grpc, http, count=_SENDERS, pace=_PACE)
        stack.callback(senders.finish, 0)
        damage = SpoolDamage(disk.folder, ledger)
        schedule = Schedule(receiver, database, disk, damage, seed=plan.seed, seconds=plan.seconds, kills=plan.kills)
        stack.callback(schedule.finish)
        senders.start()
        schedule.start()
        while schedule.running:
            time.sleep(_POLL)
            elapsed = time.monotonic() - began
            acknowledged = counted(ledger.acked_total(), "item")
            progress(f"{elapsed:.0f} s, {counted(schedule.kills, 'kill')}, {acknowledged} acknowledged")
        if schedule.errors:
            raise schedule.errors[0]
        progress("faults ended: waiting for the last answers")
        receiver.restart_if_ended()
        answered = senders.finish(_ANSWER_SECONDS)
        progress("waiting for the spool to be empty")
        replay_began = time.monotonic()
        replayed = wait_until(lambda: not any(disk.folder.glob("*/*.spool")), _DRAIN_SECONDS)
        replay_seconds = time.monotonic() - replay_began
        receiver.stop()
        progress("comparing acknowledgements with SQL")
        reconciliation = reconcile(ledger, database.direct_dsn)
        return ChaosResult(
            reconciliation=reconciliation,
            kills=schedule.kills,
            faults=dict(schedule.counts),
            requests=dict(ledger.events),
            answers=dict(ledger.answers),
            unexpected=ledger.unexpected,
            crashes=receiver.crashes,
            clean_stops=receiver.clean_stops,
            hung_stops=receiver.hung_stops,
            log_errors=_errors(receiver.log),
            answered=answered,
            replayed=replayed,
            replay_seconds=replay_seconds,
            highest_rss=memory.highest,
            disk_limited=disk.limited,
            seconds=time.monotonic() - began,
        )


def _errors(log: Path) -> dict[str, int]:
    """The last line of each traceback in the receiver's log -> number of times."""
    found: Counter[str] = Counter()
    inside = False
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("Traceback "):
            inside = True
        elif inside and line and not line.startswith(" "):
            inside = False
            found[line[:200]] += 1
    return dict(found)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder with a path short enough for sockets, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="otelgres-chaos-"))
    # PostgreSQL may run as another user, who needs access to this folder.
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_addresses(count: int) -> list[str]:
    """Free loopback addresses."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Waits for the condition; returns whether it became true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True
