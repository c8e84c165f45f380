"""From real gRPC requests to committed rows, beside COPY of the same rows: which share of PostgreSQL's speed is kept.

Both ways take turns, each time with fresh tables, so that a noisy machine is noisy for both; the ratio is the figure.
Refuses to know how results are printed.
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
    """What was acknowledged and what is in the tables differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much is sent in each round, and over how many connections with how many calls in flight on each."""

    items: int
    seconds: float
    rounds: int
    connections: int
    in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One turn. CPU is in microseconds an item; PostgreSQL's is None where the server is not ours."""

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
        """Items a second."""
        return self.items / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """All rounds of one signal."""

    signal: Signal
    rounds: list[Round]

    def rate(self, way: str) -> float:
        """Items a second over all rounds of one way."""
        ours = [one for one in self.rounds if one.way == way]
        return sum(one.items for one in ours) / sum(one.seconds for one in ours)

    def middle(self, way: str, figure: Callable[[Round], float | None]) -> float | None:
        """The median of a figure over the rounds of one way."""
        found = [value for one in self.rounds if one.way == way if (value := figure(one)) is not None]
        return median(found) if found else None

    @property
    def ratio(self) -> float:
        """The receiver's rate by COPY's: the median over pairs of neighbouring rounds."""
        pairs = zip(self.rounds[::2], self.rounds[1::2], strict=True)
        return median(one.rate / other.rate for one, other in pairs)


def measure(server: Server, signal: Signal, load: Load, told: Callable[[Round], None]) -> Ingest:
    """Measures one signal; ``told`` hears of each round. Raises NotStoredError or ProcessError."""
    rounds: list[Round] = []
    for number in range(load.rounds):
        for way in (_by_receiver, _by_copy):
            with server.fresh_database() as dsn:
                rounds.append(way(server, dsn, signal, load, number))
            told(rounds[-1])
    return Ingest(signal=signal, rounds=rounds)


def _by_receiver(server: Server, dsn: str, signal: Signal, load: Load, seed: int) -> Round:
    job = {
        "signal": signal, "items": load.items, "seed": seed, "at": time.time_ns(), "seconds": load.seconds,
        "connections": load.connections, "in_flight": load.in_flight,
    }  # fmt: skip
    with receiver(dsn) as target, worker("the sender", "-m", "otelgres.collector.tools.bench.sender") as sender:
        sender.send_line(orjson.dumps({**job, "endpoint": target.grpc}).decode())
        sender.line()
        postgres, ours = _postgres_cpu(server), cpu_seconds(target.worker.pid)
        sender.send_line("go")
        sent = sender.answer()
        ours = cpu_seconds(target.worker.pid) - ours
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
        receiver_cpu_us=ours / stored * 1e6,
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
    """Rows, and the transactions they came in (received_at is the time of the transaction)."""
    with psycopg.connect(dsn) as connection:
        return tuple(map(sum, zip(*_counts(connection, signal), strict=True)))  # type: ignore[return-value]


def _counts(connection: psycopg.Connection[tuple[int, int]], signal: Signal) -> Iterator[tuple[int, int]]:
    for table in _TABLES[signal]:
        statement = sql.SQL("SELECT count(*), count(DISTINCT received_at) FROM {}")
        yield from connection.execute(statement.format(sql.Identifier("_otel", table)))
