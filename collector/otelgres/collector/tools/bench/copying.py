"""The baseline: the same rows, encoded beforehand, by COPY BINARY into the same tables over one connection.

Partitions, indexes, triggers and group sizes are those of the receiver. Not included is what a receiver adds: requests,
parsing, rows, digests. Runs in its own interpreter as ``python -m otelgres.collector.tools.bench.copying``.
"""

import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import orjson
import psycopg
from psycopg import sql

from otelgres.collector.queue.group_commit import GROUP_BYTES
from otelgres.collector.tools.bench.load import MadeRequest, make_requests
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.postgres import dimension_store
from otelgres.exporters.postgres.cardinality import CardinalityLimiter
from otelgres.exporters.postgres.codec import copybinary as pg
from otelgres.exporters.postgres.codec.decode import COLUMNS, add_rows, parse
from otelgres.exporters.postgres.codec.dimensions import Missing
from otelgres.exporters.postgres.codec.known import Known
from otelgres.exporters.postgres.codec.rows import Caches, Group
from otelgres.exporters.postgres.partitions import Partitions

_PAST_DAYS, _DAYS_AHEAD = 30, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """The cost of COPY from the first statement to the last commit."""

    groups: int
    seconds: float


Statements: TypeAlias = list[tuple[sql.Composed, bytes]]


def prepare(connection: psycopg.Connection[Any], signal: Signal, requests: Iterable[MadeRequest]) -> list[Statements]:
    """Creates partitions and dimensions; returns the COPY statements with their data for each transaction."""
    partitions = Partitions(_PAST_DAYS, _DAYS_AHEAD)
    partitions.ensure_ahead(connection, COLUMNS, _DAYS_AHEAD)
    known, caches = Known(), Caches()
    return [_rows(connection, signal, payloads, known, caches, partitions) for payloads in _grouped(requests)]


def copy_groups(connection: psycopg.Connection[Any], groups: list[Statements]) -> float:
    """Writes each group in a transaction. Returns the seconds that took."""
    begin = time.monotonic()
    for group in groups:
        with connection.transaction(), connection.cursor() as cursor:
            for statement, data in group:
                with cursor.copy(statement) as copy:
                    copy.write(data)
    return time.monotonic() - begin


def _grouped(requests: Iterable[MadeRequest]) -> Iterable[list[bytes]]:
    """Payloads in the groups that a writer gets from a full queue."""
    payloads: list[bytes] = []
    for request in requests:
        if payloads and sum(map(len, payloads)) + len(request.payload) > GROUP_BYTES:
            yield payloads
            payloads = []
        payloads.append(request.payload)
    if payloads:
        yield payloads


def _rows(
    connection: psycopg.Connection[Any],
    signal: Signal,
    payloads: list[bytes],
    known: Known,
    caches: Caches,
    partitions: Partitions,
) -> Statements:
    """A COPY statement and its data for each table, made with the receiver's codec."""
    group, missing = Group(partitions.bounds()), Missing()
    batches = [Batch(signal, payload) for payload in payloads]
    parsed = [(batch, parse(batch, known, missing)) for batch in batches]
    dimension_store.resolve(connection, missing, known, CardinalityLimiter())
    for batch, request in parsed:
        add_rows(batch, request, known, caches, group)
    dimension_store.resolve_series(connection, group.new_series, known, CardinalityLimiter())
    for table, place, key in group.pending:
        group.parts[table][place] = pg.int8(known.series[key])
    return [
        (
            sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
                sql.Identifier("_otel", table), sql.SQL(", ").join(map(sql.Identifier, columns))
            ),
            b"".join([pg.HEADER, *group.parts[table], pg.TRAILER]),
        )
        for table, columns in COLUMNS.items()
        if group.counts[table]
    ]


def _main() -> None:
    given = orjson.loads(sys.stdin.readline())
    signal = Signal(given["signal"])
    requests = make_requests(signal, given["items"], given["seed"], given["at"])
    with psycopg.connect(given["dsn"], autocommit=True) as connection:
        groups = prepare(connection, signal, requests)
        print("ready", flush=True)
        if sys.stdin.readline():
            seconds = copy_groups(connection, groups)
            print(orjson.dumps(asdict(Copied(groups=len(groups), seconds=seconds))).decode(), flush=True)
            # Keeps the connection open until the parent has read the CPU time of its backend.
            sys.stdin.readline()


if __name__ == "__main__":
    _main()
