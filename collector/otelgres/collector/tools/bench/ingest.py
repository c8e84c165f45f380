"""Throughput from gRPC requests to committed rows, compared with COPY of the same rows.

Both methods run in turns, each time with fresh tables, so that noise on the machine affects both. The result is the
ratio.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import orjson
import psycopg
from psycopg import sql

from otelgres.collector.tools.bench.processes import cpu_seconds, family_cpu_seconds, receiver, worker
from otelgres.collector.tools.bench.server import Server
from otelgres.exporters.batch import Signal

_TABLES = {
    Signal.TRACES: ("spans",),
    Signal.LOGS: ("logs",),
    Signal.METRICS: ("number_points", "histogram_points"),
}


class NotStoredError(RuntimeError):
    """The number of stored rows differs from the number of acknowledged items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The load of each round: items, connections, and calls in flight per connection."""

    items: int
    seconds: float
    rounds: int
    connections: int
    in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round. CPU is in microseconds per item; PostgreSQL's is None on a given server."""

    way: str  # receiver | copy
    items: int
    seconds: float
    commits: int
    postgres_cpu_us: float | None
    receiver_cpu_us: float = 0.0
    sender_cpu_us: float = 0.0
    ack_ms_p50: float = 0.0
    ack_ms_p99: float = 0.0
    retries: int = 0

    @property
    def rate(self) -> float:
        """Items per second."""
        return self.items / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """The rounds of one signal."""

    signal: Signal
    rounds: list[Round]

    def rate(self, way: str) -> float:
        """Items per second over all rounds of one method."""
        rounds = [one for one in self.rounds if one.way == way]
        return sum(one.items for one in rounds) / sum(one.seconds for one in rounds)

    def middle(self, way: str, figure: Callable[[Round], float | None]) -> float | None:
        """The median of a figure over the rounds of one method."""
        found = [value for one in self.rounds if one.way == way if (value := figure(one)) is not None]
        return median(found) if found else None

    @property
    def ratio(self) -> float:
        """The receiver's rate divided by COPY's: the median over pairs of consecutive rounds."""
        pairs = zip(self.rounds[::2], self.rounds[1::2], strict=True)
        return median(one.rate / other.rate for one, other in pairs)


def measure(server: Server, signal: Signal, load: Load, report: Callable[[Round], None]) -> Ingest:
    """Measures one signal; calls ``report`` after each round. Raises NotStoredError or ProcessError."""
    rounds: list[Round] = []
    for number in range(load.rounds):
        for way in (_by_receiver, _by_copy):
            with server.fresh_database() as dsn:
                rounds.append(way(server, dsn, signal, load, number))
            report(rounds[-1])
    return Ingest(signal=signal, rounds=rounds)


def _by_receiver(server: Server, dsn: str, signal: Signal, load: Load, seed: int) -> Round:
    job = {
        "signal": signal, "items": load.items, "seed": seed, "at": time.time_ns(), "seconds": load.seconds,
        "connections": load.connections, "in_flight": load.in_flight,
    }  # fmt: skip
    with receiver(dsn) as target, worker("the sender", "-m", "otelgres.collector.tools.bench.sender") as sender:
        sender.send_line(orjson.dumps({**job, "endpoint": target.grpc}).decode())
        sender.line()
        postgres, receiver_cpu = _postgres_cpu(server), cpu_seconds(target.worker.pid)
        sender.send_line("go")
        sent = sender.answer()
        receiver_cpu = cpu_seconds(target.worker.pid) - receiver_cpu
        postgres = [now - before for now, before in zip(_postgres_cpu(server), postgres, strict=True)]
        stored, commits = _stored(dsn, signal)
    if stored != sent["items"]:
        raise NotStoredError(f"{sent['items']:,} {signal} were acknowledged and {stored:,} are stored")
    return Round(
        way="receiver",
        items=stored,
        seconds=sent["seconds"],
        commits=commits,
        postgres_cpu_us=_each(postgres, stored),
        receiver_cpu_us=receiver_cpu / stored * 1e6,
        sender_cpu_us=sent["sender_cpu_seconds"] / stored * 1e6,
        ack_ms_p50=sent["ack_ms_p50"],
        ack_ms_p99=sent["ack_ms_p99"],
        retries=sent["retries"],
    )


def _by_copy(server: Server, dsn: str, signal: Signal, load: Load, seed: int) -> Round:
    job = {"signal": signal, "items": load.items, "seed": seed, "at": time.time_ns(), "dsn": dsn}
    with worker("the copier", "-m", "otelgres.collector.tools.bench.copying") as copier:
        copier.send_line(orjson.dumps(job).decode())
        copier.line()
        postgres = _postgres_cpu(server)
        copier.send_line("go")
        copied = copier.answer()
        postgres = [now - before for now, before in zip(_postgres_cpu(server), postgres, strict=True)]
    stored, commits = _stored(dsn, signal)
    if stored != load.items:
        raise NotStoredError(f"{load.items:,} {signal} were copied and {stored:,} are stored")
    return Round(
        way="copy",
        items=stored,
        seconds=copied["seconds"],
        commits=commits,
        postgres_cpu_us=_each(postgres, stored),
    )


def _postgres_cpu(server: Server) -> list[float]:
    return [] if server.pid is None else [family_cpu_seconds(server.pid)]


def _each(seconds: list[float], items: int) -> float | None:
    return seconds[0] / items * 1e6 if seconds else None


def _stored(dsn: str, signal: Signal) -> tuple[int, int]:
    """The numbers of rows and of transactions that wrote them (received_at is the transaction's time)."""
    with psycopg.connect(dsn) as connection:
        return tuple(map(sum, zip(*_counts(connection, signal), strict=True)))  # type: ignore[return-value]


def _counts(connection: psycopg.Connection[tuple[int, int]], signal: Signal) -> Iterator[tuple[int, int]]:
    for table in _TABLES[signal]:
        statement = sql.SQL("SELECT count(*), count(DISTINCT received_at) FROM {}")
        yield from connection.execute(statement.format(sql.Identifier("_otel", table)))
