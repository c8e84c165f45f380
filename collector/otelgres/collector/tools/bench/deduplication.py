"""The cost of deduplication: the digest of each request and the key of each row."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, LiteralString

import psycopg

from otelgres.collector.tools.bench.copying import copy_groups, prepare
from otelgres.collector.tools.bench.load import MadeRequest, make_requests
from otelgres.collector.tools.bench.server import Server
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.postgres.digests import request_digest

_KEYS: Final[dict[Signal, tuple[LiteralString, ...]]] = {
    Signal.TRACES: ("ALTER TABLE _otel.spans DROP CONSTRAINT spans_pkey",),
    Signal.LOGS: ("DROP INDEX _otel.logs_uid",),
    Signal.METRICS: (
        "ALTER TABLE _otel.number_points DROP CONSTRAINT number_points_pkey",
        "ALTER TABLE _otel.histogram_points DROP CONSTRAINT histogram_points_pkey",
    ),
}


@dataclass(frozen=True)
class DeduplicationCost:
    """Microseconds per item, medians of the rounds: COPY, the key's part of it, and digests in addition."""

    copy: float
    key: float
    digests: float


def measure(
    server: Server, signal: Signal, items: int, rounds: int, report: Callable[[str], None]
) -> DeduplicationCost:
    """Measures with and without the key in turns, each in a fresh database. Raises psycopg.Error."""
    times: dict[bool, list[float]] = {True: [], False: []}
    digests = []
    for number in range(rounds):
        requests = list(make_requests(signal, items, number, time.time_ns()))
        for with_key in (True, False):
            with server.fresh_database() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
                for statement in () if with_key else _KEYS[signal]:
                    connection.execute(statement)
                groups = prepare(connection, signal, requests)
                times[with_key].append(1e6 * copy_groups(connection, groups) / items)
                if with_key:
                    digests.append(1e6 * _digests(connection, signal, requests) / items)
        report(f"{times[True][-1]:.1f} µs with the key, {times[False][-1]:.1f} without, {digests[-1]:.2f} for digests")
    keyed, bare = statistics.median(times[True]), statistics.median(times[False])
    return DeduplicationCost(keyed, keyed - bare, statistics.median(digests))


def _digests(connection: psycopg.Connection[Any], signal: Signal, requests: Sequence[MadeRequest]) -> float:
    """The time to hash, look up and insert digests, with eight requests per transaction as under load."""
    today = datetime.now(UTC).date()
    connection.execute("SELECT _otel.make_partition('digests', now())")
    began = time.perf_counter()
    for first in range(0, len(requests), 8):
        hashes = [request_digest(Batch(signal, request.payload)) for request in requests[first : first + 8]]
        with connection.transaction():
            connection.execute("SELECT digest FROM _otel.digests WHERE digest = ANY (%s)", [hashes]).fetchall()
            connection.execute("INSERT INTO _otel.digests SELECT %s, unnest(%s::uuid[])", [today, hashes])
    return time.perf_counter() - began
