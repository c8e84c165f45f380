"""How long each panel's query takes on a database: ``python -m tests.grafana.panel_times DSN [HOURS]``.

Prints a Markdown table, the slowest first: the median of five runs after one that warms the cache.
docs/benchmarks.md has the results.
"""

import statistics
import sys
import time
from datetime import UTC, datetime, timedelta

import psycopg

from tests.grafana.dashboards import FILES, queries, variables

_RUNS = 5


def main(dsn: str, hours: float) -> None:
    """Runs them all for the last ``hours``."""
    until = datetime.now(UTC)
    since = until - timedelta(hours=hours)
    found: list[tuple[float, str, int]] = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET statement_timeout = '30s'")
        connection.execute("SET jit = off")
        row = connection.execute(
            "SELECT flow_id::text FROM otel.flows WHERE start_time > now() - interval '7 days' LIMIT 1"
        ).fetchone()
        for file in FILES:
            known = variables(file, connection, flow=str(row[0]) if row else "")
            for query in queries(file):
                sql = query.sql(since, until, known).encode()
                times = []
                rows = 0
                for _ in range(_RUNS + 1):
                    began = time.perf_counter()
                    try:
                        rows = len(connection.execute(sql).fetchall())
                    except psycopg.errors.QueryCanceled:
                        times = [float("inf")] * 2
                        break
                    times.append(1000 * (time.perf_counter() - began))
                found.append((statistics.median(times[1:]), query.name, rows))
    print("| panel | rows | ms |\n|---|---|---|")
    for milliseconds, name, rows in sorted(found, reverse=True):
        print(f"| {name} | {rows} | {milliseconds:.0f} |")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
