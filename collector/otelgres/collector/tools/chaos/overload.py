"""Overload test: twice the load that the database can take. Measures memory, lost acknowledged spans, and goodput.

The proxy slows the database down, so that the database and not the CPU is the bottleneck.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, Final

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]
import psycopg

from otelgres.collector.tools.chaos.flood import CLIENT_SECONDS, SPANS, Flood
from otelgres.collector.tools.chaos.processes import DatabaseProcess, MemoryWatch, ReceiverProcess
from otelgres.collector.tools.chaos.run import free_addresses, temporary_folder, wait_until
from otelgres.exporters.plural import counted

_DATABASE_BYTES_PER_SECOND: Final = 2_000_000
_CAPACITY_SECONDS: Final = 20.0
_WARM_UP_SECONDS: Final = 5.0
_FACTOR: Final = 2.0
_MOST_IN_FLIGHT: Final = 1000
_END_SECONDS: Final = 300.0
_MEGABYTE: Final = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """Spans per second and bytes. ``goodput`` is the acknowledged rate during overload.

    ``stored`` is the stored rate in that time, which includes requests that had timed out at the client.
    """

    seconds: float
    capacity: float
    offered: float
    goodput: float
    stored: float
    refusals: int
    timeouts: int
    given_up: int
    rss_at_capacity: int
    rss_first_third: int
    rss_last_third: int
    acked: int
    lost: int
    duplicated: int

    @property
    def ratio(self) -> float:
        """Goodput under overload divided by goodput at capacity."""
        return self.goodput / self.capacity if self.capacity else 0.0

    @property
    def right(self) -> bool:
        """Whether everything acknowledged is stored exactly once. Speeds are not judged: machines are noisy."""
        return bool(self.acked) and not (self.lost or self.duplicated)

    def as_dict(self) -> dict[str, Any]:
        """All figures, for JSON."""
        return {**asdict(self), "ratio": self.ratio, "right": self.right}

    def as_text(self) -> str:
        """The figures as text."""
        given_up = f"{counted(self.given_up, 'request')} timed out at the client after {CLIENT_SECONDS:g} s"
        first, last = self.rss_first_third / _MEGABYTE, self.rss_last_third / _MEGABYTE
        return f"""\
overload for {self.seconds:g} s, the database slowed to {_DATABASE_BYTES_PER_SECOND / _MEGABYTE:g} MB/s
  at capacity  {self.capacity:,.0f} spans/s acknowledged
  offered      {self.offered:,.0f} spans/s
  goodput      {self.goodput:,.0f} spans/s acknowledged: {self.ratio:.2f} of capacity ({self.stored:,.0f} stored)
  answers      {counted(self.refusals, "retryable error")}, {counted(self.timeouts, "timed-out call")}, {given_up}
  resident     {self.rss_at_capacity / _MEGABYTE:,.0f} MB at capacity; under overload at most {first:,.0f} MB in the \
first third, {last:,.0f} MB in the last
  acknowledged {counted(self.acked, "request")}: {self.lost} lost, {self.duplicated} duplicated"""


def overload(seconds: float, progress: Callable[[str], None]) -> Overload:
    """Runs the test in bounded time and removes all its data. Raises EmbeddedPostgresError, OSError."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        database = DatabaseProcess(folder)
        stack.callback(database.close)
        progress("starting PostgreSQL and the receiver")
        database.start()
        grpc_address, http_address = free_addresses(2)
        receiver = ReceiverProcess(database.dsn, grpc_address, http_address, folder / "spool", folder)
        stack.callback(receiver.kill)
        receiver.start()
        wait_until(lambda: receiver.drained, CLIENT_SECONDS * 3)
        memory = MemoryWatch(lambda: receiver.pid)
        stack.callback(memory.close)
        database.proxy.bytes_per_second = _DATABASE_BYTES_PER_SECOND
        load, offered, (began, middle, ended) = asyncio.run(_measure(grpc_address, seconds, progress))
        database.proxy.bytes_per_second = None
        progress("comparing acknowledgements with SQL")
        wait_until(lambda: receiver.drained, _END_SECONDS)
        receiver.stop()
        lost, duplicated = _lost_and_duplicated(database.direct_dsn, {number for _, number in load.acked})
        third = (ended - middle) / 3
        return Overload(
            seconds=seconds,
            capacity=load.rate(began + _WARM_UP_SECONDS, middle),
            offered=offered,
            goodput=load.rate(middle + _WARM_UP_SECONDS, ended),
            stored=_stored(database.direct_dsn, middle + _WARM_UP_SECONDS, ended),
            refusals=load.refusals,
            timeouts=load.timeouts,
            given_up=load.given_up,
            rss_at_capacity=memory.highest_between(began, middle),
            rss_first_third=memory.highest_between(middle, middle + third),
            rss_last_third=memory.highest_between(ended - third, ended),
            acked=len(load.acked),
            lost=lost,
            duplicated=duplicated,
        )


async def _measure(
    address: str, seconds: float, progress: Callable[[str], None]
) -> tuple[Flood, float, tuple[float, float, float]]:
    """Sends load at capacity, then twice as much. Also returns the times of the start, the increase and the end."""
    async with grpc.aio.insecure_channel(address) as channel:
        load = Flood(channel)
        progress("measuring the capacity of the database")
        began = time.monotonic()
        await load.send_sequentially(began + _CAPACITY_SECONDS)
        middle = time.monotonic()
        capacity = load.rate(began + _WARM_UP_SECONDS, middle)
        pause = SPANS / (capacity * _FACTOR) if capacity else 0.1
        in_flight: set[asyncio.Task[None]] = set()
        before, due = load.sent, middle
        while (now := time.monotonic()) < middle + seconds:
            progress(
                f"twice as much: {now - middle:.0f} of {seconds:g} s, {counted(len(in_flight), 'request')} in flight"
            )
            if len(in_flight) < _MOST_IN_FLIGHT:
                task = asyncio.create_task(load.deliver())
                in_flight.add(task)
                task.add_done_callback(in_flight.discard)
            due += pause
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        ended = time.monotonic()
        offered = (load.sent - before) * SPANS / (ended - middle)
        await asyncio.gather(*in_flight)
    return load, offered, (began, middle, ended)


def _stored(dsn: str, since: float, until: float) -> float:
    """Spans stored per second between two times of ``time.monotonic``."""
    epoch = time.time() - time.monotonic()
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM _otel.spans WHERE received_at >= to_timestamp(%s) AND received_at < to_timestamp(%s)",
            (epoch + since, epoch + until),
        ).fetchone()
    return row[0] / (until - since) if row else 0.0


def _lost_and_duplicated(dsn: str, acked: set[int]) -> tuple[int, int]:
    """The number of acknowledged requests not completely stored, and the number of spans stored twice."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT left(trace_id, 16), count(*), count(DISTINCT (trace_id, span_id)) FROM otel.spans GROUP BY 1"
        ).fetchall()
    distinct = {int(prefix, 16) - 1: unique for prefix, _, unique in rows}
    lost = sum(distinct.get(number, 0) != SPANS for number in acked)
    return lost, sum(count - unique for _, count, unique in rows)
