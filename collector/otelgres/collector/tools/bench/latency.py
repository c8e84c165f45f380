"""From a call in an application to the row that SQL shows: how long it takes, for log records and flows of checkpoints.

The application is a process of its own that uses otel_setup as it comes. Each record carries the time of its call; a
poller looks every 5 ms, and what it sees counts from the moment its answer is here. Refuses to know how the application
sends.
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
# A record's time is taken a little after the call's, as a float of seconds.
_SLACK_SECONDS: Final = 0.001
What: TypeAlias = Literal["records", "flows"]
_NEW: Final[dict[What, LiteralString]] = {
    "records": """
        SELECT (attributes ->> 'bench.number')::integer, (attributes ->> 'bench.called')::bigint
        FROM _otel.logs WHERE time >= to_timestamp(%s) AND attributes ? 'bench.number'
    """,
    # A flow is there when the last of its checkpoints is.
    "flows": """
        SELECT (attributes ->> 'bench.number')::integer, min((attributes ->> 'bench.called')::bigint)
        FROM _otel.spans WHERE start_time >= to_timestamp(%s) AND attributes ? 'bench.number'
        GROUP BY 1 HAVING count(*) = 4
    """,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds from call to visible, over all records or flows; ``lost`` never became visible."""

    records: int
    lost: int
    p50: float
    p90: float
    p99: float
    most: float


def measure(
    server: Server, what: What, rate: float, seconds: float, advance: Callable[[float], None] = lambda amount: None
) -> Latency:
    """Lets an application tell of ``rate`` a second for ``seconds``; ``advance`` hears of seconds that are over.

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
    """Number -> milliseconds from the (first) call to the first answer that had it; ends when all are there."""
    began = time.monotonic()
    deadline = began + seconds + _LAST_SECONDS
    told = 0.0
    waits: dict[int, float] = {}
    # All records before this one are there. Only what is no older is asked for, by the index on time.
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
        advance(passed - told)
        told = passed
        time.sleep(max(0.0, due - time.monotonic()))
    return waits
