"""From the call of ``logger.info`` in an application to the row that SQL shows: how long it takes.

The application is a process of its own that uses otel_setup as it comes. Each record carries the time of its call; a
poller looks every 5 ms, and what it sees counts from the moment its answer is here. Refuses to know how the application
sends.
"""

import time
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from collector.bench.processes import receiver, worker
from collector.bench.server import Server

_POLL_SECONDS: Final = 0.005
_LAST_SECONDS: Final = 30.0
# A record's time is taken a little after the call's, as a float of seconds.
_SLACK_SECONDS: Final = 0.001
_NEW: Final = """
SELECT (attributes ->> 'bench.number')::integer, (attributes ->> 'bench.called')::bigint
FROM _otel.logs WHERE time >= to_timestamp(%s) AND attributes ? 'bench.number'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds from call to visible, over all records; ``lost`` never became visible."""

    records: int
    lost: int
    p50: float
    p90: float
    p99: float
    most: float


def measure(server: Server, rate: float, seconds: float) -> Latency:
    """Lets an application log ``rate`` records a second for ``seconds``. Raises ProcessError."""
    with server.fresh_database() as dsn, receiver(dsn) as target:
        arguments = ("-m", "otel_setup.bench.steady", f"http://{target.grpc}", str(rate), str(seconds))
        with worker("the application", *arguments) as application, psycopg.connect(dsn, autocommit=True) as connection:
            waits = _watch(connection, round(rate * seconds), time.monotonic() + seconds + _LAST_SECONDS)
            made = int(application.line())
    ordered = sorted(waits.values()) or [float("nan")]
    return Latency(
        records=made,
        lost=made - len(waits),
        p50=ordered[len(ordered) // 2],
        p90=ordered[len(ordered) * 9 // 10],
        p99=ordered[len(ordered) * 99 // 100],
        most=ordered[-1],
    )


def _watch(connection: psycopg.Connection[Any], expected: int, deadline: float) -> dict[int, float]:
    """Record number -> milliseconds from its call to the first answer that had it; ends when all are there."""
    waits: dict[int, float] = {}
    # All records before this one are there. Only what is no older is asked for, by the index on time.
    first_unseen, since = 0, time.time_ns()
    called_at: dict[int, int] = {}
    while len(waits) < expected and time.monotonic() < deadline:
        due = time.monotonic() + _POLL_SECONDS
        rows = connection.execute(_NEW, [since / 1e9 - _SLACK_SECONDS]).fetchall()
        now = time.time_ns()
        for number, called in rows:
            if number not in waits:
                waits[number] = (now - called) / 1e6
                called_at[number] = called
        while first_unseen in waits:
            since = called_at.pop(first_unseen)
            first_unseen += 1
        time.sleep(max(0.0, due - time.monotonic()))
    return waits
