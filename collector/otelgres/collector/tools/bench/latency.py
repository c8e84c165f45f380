"""Latency from a call in an application until its row is visible in SQL, for log records and flows of checkpoints.

The application is a separate process that uses otel_setup with its defaults. Each record contains the time of its call.
A poller queries every 5 ms; a row counts as visible when the result of the query has arrived.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, LiteralString, TypeAlias

import psycopg

from otelgres.collector.tools.bench.processes import receiver, worker
from otelgres.collector.tools.bench.server import Server

_POLL_SECONDS: Final = 0.005
_LAST_SECONDS: Final = 30.0
# A record's time is taken slightly after the time of the call, as a float of seconds.
_SLACK_SECONDS: Final = 0.001
What: TypeAlias = Literal["records", "flows"]
_NEW: Final[dict[What, LiteralString]] = {
    "records": """
        SELECT (attributes ->> 'bench.number')::integer, (attributes ->> 'bench.called')::bigint
        FROM _otel.logs WHERE time >= to_timestamp(%s) AND attributes ? 'bench.number'
    """,
    # A flow is visible when all four checkpoints are.
    "flows": """
        SELECT (attributes ->> 'bench.number')::integer, min((attributes ->> 'bench.called')::bigint)
        FROM _otel.spans WHERE start_time >= to_timestamp(%s) AND attributes ? 'bench.number'
        GROUP BY 1 HAVING count(*) = 4
    """,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds from call to visibility, over all records or flows; ``lost`` counts those never visible."""

    records: int
    lost: int
    p50: float
    p90: float
    p99: float
    most: float


def measure(
    server: Server, what: What, rate: float, seconds: float, advance: Callable[[float], None] = lambda amount: None
) -> Latency:
    """Runs an application that records ``rate`` per second for ``seconds``; calls ``advance`` with elapsed seconds.

    Raises ProcessError.
    """
    with server.fresh_database() as dsn, receiver(dsn) as target:
        arguments = ("-m", "otel_setup.bench.steady", what, f"http://{target.grpc}", str(rate), str(seconds))
        with worker("the application", *arguments) as application, psycopg.connect(dsn, autocommit=True) as connection:
            waits = _watch(connection, what, round(rate * seconds), seconds, advance)
            made = int(application.line())
    return summed_up(made, list(waits.values()))


def summed_up(made: int, waits: list[float]) -> Latency:
    """The quantiles of ``waits`` (milliseconds), of ``made`` records."""
    ordered = sorted(waits) or [float("nan")]
    return Latency(
        records=made,
        lost=made - len(waits),
        p50=ordered[len(ordered) // 2],
        p90=ordered[len(ordered) * 9 // 10],
        p99=ordered[len(ordered) * 99 // 100],
        most=ordered[-1],
    )


def _watch(
    connection: psycopg.Connection[Any], what: What, expected: int, seconds: float, advance: Callable[[float], None]
) -> dict[int, float]:
    """Number -> milliseconds from the (first) call to the first result that contained it; ends when all are visible."""
    began = time.monotonic()
    deadline = began + seconds + _LAST_SECONDS
    reported = 0.0
    waits: dict[int, float] = {}
    # All records before this one are visible. Queries read newer ones only, by the index on time.
    first_unseen, since = 0, time.time_ns()
    called_at: dict[int, int] = {}
    while len(waits) < expected and time.monotonic() < deadline:
        due = time.monotonic() + _POLL_SECONDS
        rows = connection.execute(_NEW[what], [since / 1e9 - _SLACK_SECONDS]).fetchall()
        now = time.time_ns()
        for number, called in rows:
            if number not in waits:
                waits[number] = (now - called) / 1e6
                called_at[number] = called
        while first_unseen in waits:
            since = called_at.pop(first_unseen)
            first_unseen += 1
        passed = min(time.monotonic() - began, seconds)
        advance(passed - reported)
        reported = passed
        time.sleep(max(0.0, due - time.monotonic()))
    return waits
