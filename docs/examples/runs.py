"""A job that reads cash machines: `python docs/examples/runs.py [--demo]`, with a receiver running.

Prints its runs, from SQL, if OTELGRES_DSN is set to the database.
"""

import argparse
import logging
import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg

from otel_setup import shutdown_telemetry
from otel_setup.runs import Execution, configure_run_logging, execution_context, run, run_phase

log = logging.getLogger("retrieval")


def ask(terminal: str) -> None:
    """Simulates a request that sometimes fails."""
    if terminal == "T13":
        raise TimeoutError("no answer in 30 s")
    time.sleep(0.002)


class Retriever:
    """Reads all terminals of all regions, four at a time."""

    def __init__(self, *, demo_mode: bool = False, total_atms: int = 14, enable_db_logging: bool = True) -> None:
        self._terminals = [f"T{number:02d}" for number in range(1, total_atms + 1)]
        self._demo_mode = demo_mode
        self._enable_db_logging = enable_db_logging

    def retrieve(self, *, host_is_down: bool = False) -> tuple[uuid.UUID, bool]:
        """One run: its id, and whether every terminal could be read."""
        with run(
            "atm retrieval",
            demo_mode=self._demo_mode,
            enable_db_logging=self._enable_db_logging,
            total_atms=len(self._terminals),
            started_by="cron",
        ) as execution:
            self._connect(execution, host_is_down)
            with execution.phase("regions"):
                for region in ("north", "south"):
                    with execution_context(region_code=region):
                        log.info("region %s read", region)
                    execution.processed("regional_records")
            with execution.phase("terminals"), ThreadPoolExecutor(4) as pool:
                # The threads inherit the run, and their log lines have the terminal.
                read = list(pool.map(lambda terminal: self._read(execution, terminal), self._terminals))
            with execution.phase("save"):
                log.info("%d terminals saved", sum(read))
            if not all(read):
                execution.set(success=False, failure_type="terminals_missing")
            return execution.execution_id, all(read)

    @run_phase("connectivity")
    def _connect(self, execution: Execution, host_is_down: bool) -> None:
        if host_is_down:
            log.warning("the host does not answer: trying the other one")
            execution.failover(connection_status="failover")
        else:
            execution.set(connection_status="established")

    def _read(self, execution: Execution, terminal: str) -> bool:
        with execution.terminal(terminal, region_code="north" if terminal < "T08" else "south"):
            try:
                began = time.perf_counter()
                ask(terminal)
            except TimeoutError as error:
                execution.error(error, f"{terminal} was not read", attempts=3)
                return False
            milliseconds = round((time.perf_counter() - began) * 1e3, 3)
            log.info("%s read", terminal, extra={"performance_metrics": {"milliseconds": milliseconds}})
            execution.processed("terminal_details")
            return True


QUESTIONS = {
    "runs": """
        SELECT success, failover_activated, failure_type, connection_status, terminal_details_processed, error_count
        FROM execution_summary ORDER BY start_time DESC LIMIT 3""",
    "errors": """
        SELECT execution_phase, terminal_id, error_details ->> 'type' AS type, count(*),
            count(DISTINCT execution_id) AS runs
        FROM log_events WHERE level = 'ERROR' AND timestamp > now() - interval '7 days'
        GROUP BY 1, 2, 3 ORDER BY 4 DESC""",
    "phases of the latest run": """
        SELECT key AS phase, value -> 'count' AS count, value -> 'errors' AS errors
        FROM (SELECT performance_summary FROM execution_summary ORDER BY start_time DESC LIMIT 1) s,
            jsonb_each(performance_summary -> 'phases') ORDER BY 1""",
    "months": "SELECT name, runs, succeeded, failed, abandoned, failovers FROM execution_months()",
}


def main() -> None:
    """Three runs: a success, one with the host down, one with a terminal that does not answer. --demo sends nothing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--demo", action="store_true", help="send nothing")
    parser.add_argument("--log-file", default=None)
    options = parser.parse_args()
    configure_run_logging("retrieval", demo_mode=options.demo, log_file=options.log_file)
    for total, host_is_down in ((12, False), (12, True), (14, False)):
        execution_id, success = Retriever(demo_mode=options.demo, total_atms=total).retrieve(host_is_down=host_is_down)
        print(execution_id, "succeeded" if success else "failed")
    shutdown_telemetry()
    if dsn := os.environ.get("OTELGRES_DSN"):
        with psycopg.connect(dsn, options="-c search_path=compat,public") as connection:
            for title, question in QUESTIONS.items():
                cursor = connection.execute(question)
                names = [column.name for column in cursor.description or ()]
                print(f"{title}:")
                for row in cursor:
                    print("  ", ", ".join(f"{name} {value}" for name, value in zip(names, row, strict=True)))


if __name__ == "__main__":
    main()
