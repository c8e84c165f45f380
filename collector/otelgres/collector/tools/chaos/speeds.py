"""The speed of spool replay compared with direct ingest of the same requests, by the database's clock."""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import grpc.aio  # type: ignore[import-untyped]
import psycopg

from otelgres.collector.tools.chaos.flood import CLIENT_SECONDS, Flood
from otelgres.collector.tools.chaos.processes import DatabaseProcess, ReceiverProcess
from otelgres.collector.tools.chaos.run import free_addresses, temporary_folder, wait_until

_SECONDS: Final = 8.0
_DRAIN_SECONDS: Final = 120.0
# From the start of the first transaction to the start of the last one.
_SPEED: Final = """
SELECT count(*) / nullif(extract(epoch FROM max(received_at) - min(received_at)), 0)
FROM _otel.spans WHERE trace_id >= %(first)s AND trace_id < %(last)s
"""


@dataclass(frozen=True, slots=True)
class Speeds:
    """Spans per second."""

    ingest: float
    replay: float


def speeds(progress: Callable[[str], None]) -> Speeds:
    """Measures both with a temporary database and receiver. Raises EmbeddedPostgresError, OSError."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        database = DatabaseProcess(folder)
        stack.callback(database.close)
        progress("measuring speeds: starting PostgreSQL and a receiver")
        database.start()
        grpc_address, http_address = free_addresses(2)
        receiver = ReceiverProcess(database.dsn, grpc_address, http_address, folder / "spool", folder)
        stack.callback(receiver.kill)
        receiver.start()
        wait_until(lambda: receiver.drained, CLIENT_SECONDS * 3)
        at, end = asyncio.run(_fill(grpc_address, database, progress))
        progress("measuring the speed of replay")
        database.proxy.restore()
        wait_until(lambda: receiver.drained, _DRAIN_SECONDS)
        receiver.stop()
        with psycopg.connect(database.direct_dsn) as connection:
            return Speeds(_speed(connection, 0, at), _speed(connection, at, end))


async def _fill(address: str, database: DatabaseProcess, progress: Callable[[str], None]) -> tuple[int, int]:
    """Returns how many requests were sent while the database was reachable, and how many in total."""
    async with grpc.aio.insecure_channel(address) as channel:
        load = Flood(channel)
        progress("measuring the speed of ingest")
        await load.send_sequentially(time.monotonic() + _SECONDS)
        at = load.sent
        database.proxy.refuse()
        await load.send_sequentially(time.monotonic() + _SECONDS / 2)
        return at, load.sent


def _speed(connection: psycopg.Connection[tuple[float | None]], first: int, last: int) -> float:
    bounds = {name: f"{number + 1:016x}{0:016x}" for name, number in (("first", first), ("last", last))}
    row = connection.execute(_SPEED, bounds).fetchone()
    return float(row[0]) if row and row[0] else 0.0
