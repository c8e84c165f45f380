"""The speed of spool replay, compared with storing the same requests directly.

Both run in this process with the receiver's components: two writers and the replayer, without listeners.
"""

import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from otelgres.collector.queue.availability import Availability
from otelgres.collector.queue.database_replayer import DatabaseReplayer
from otelgres.collector.queue.group_commit import GROUP_BYTES
from otelgres.collector.tools.bench.ingest import NotStoredError
from otelgres.collector.tools.bench.load import make_requests
from otelgres.collector.tools.bench.server import Server
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted
from otelgres.exporters.postgres.writer import PostgresWriter
from otelgres.exporters.spool.queue import SpoolQueue

_WRITERS: Final = 2
_SPOOL_BYTES: Final = 4 * 1024 * 1024 * 1024
_TIMEOUT_SECONDS: Final = 300.0
_TABLES: Final = {
    Signal.TRACES: "SELECT count(*) FROM _otel.spans",
    Signal.LOGS: "SELECT count(*) FROM _otel.logs",
    Signal.METRICS: "SELECT (SELECT count(*) FROM _otel.number_points) + (SELECT count(*) FROM _otel.histogram_points)",
}


@dataclass(frozen=True)
class ReplayedRates:
    """Items per second of each method in one round."""

    ingest: float
    replay: float

    @property
    def ratio(self) -> float:
        """Replay rate by direct rate; 1 means that replay is as fast."""
        return self.replay / self.ingest


def measure(
    server: Server,
    signal: Signal,
    items: int,
    rounds: int,
    report: Callable[[ReplayedRates], None],
    advance: Callable[[float], None],
) -> list[ReplayedRates]:
    """Returns one result per round; calls ``advance`` with items. Raises NotStoredError or psycopg.Error."""
    found = []
    for number in range(rounds):
        requests = list(make_requests(signal, items, number, time.time_ns()))
        batches = [Batch(signal, request.payload) for request in requests]
        with server.fresh_database() as dsn:
            ingest = _ingest(dsn, batches)
            _check(dsn, signal, items)
        advance(items)
        with server.fresh_database() as dsn, tempfile.TemporaryDirectory(prefix="otelgres-bench-") as folder:
            drain = _drain(dsn, batches, Path(folder))
            _check(dsn, signal, items)
        advance(items)
        one = ReplayedRates(items / ingest, items / drain)
        report(one)
        found.append(one)
    return found


def _ingest(dsn: str, batches: Sequence[Batch]) -> float:
    groups = list(_grouped(batches))
    lock = threading.Lock()

    def work() -> None:
        writer = PostgresWriter(dsn)
        while True:
            with lock:
                if not groups:
                    break
                group = groups.pop(0)
            if any(not isinstance(outcome, Accepted) for outcome in writer.write(group)):
                break
        writer.close()

    threads = [threading.Thread(target=work) for _ in range(_WRITERS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def _drain(dsn: str, batches: Sequence[Batch], folder: Path) -> float:
    spool = SpoolQueue(folder, _SPOOL_BYTES)
    for group in _grouped(batches):
        spool.append(group)
    availability = Availability()
    replayer = DatabaseReplayer(lambda: PostgresWriter(dsn), spool, availability)
    began = time.perf_counter()
    replayer.start()
    try:
        while not spool.empty:
            if time.perf_counter() - began > _TIMEOUT_SECONDS:
                raise NotStoredError(f"the spool was not empty after {_TIMEOUT_SECONDS:.0f} s")
            threading.Event().wait(0.01)
        return time.perf_counter() - began
    finally:
        replayer.stop(10)
        spool.close()


def _grouped(batches: Sequence[Batch]) -> list[list[Batch]]:
    groups: list[list[Batch]] = [[]]
    size = 0
    for batch in batches:
        if size > GROUP_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(batch)
        size += len(batch.payload)
    return groups


def _check(dsn: str, signal: Signal, items: int) -> None:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(_TABLES[signal].encode()).fetchone()
    if row != (items,):
        raise NotStoredError(f"{row and row[0]} of {items} rows were stored")
