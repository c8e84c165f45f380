"""Records the operations on a table of leads: `python docs/examples/operations.py`, with a receiver running.

SQL statements are recorded too if opentelemetry-instrumentation-sqlite3 is installed. Prints a summary of the day, from
SQL, if OTELGRES_DSN is set to the database.
"""

import os
import sqlite3
import sys
import uuid

import psycopg

from otel_setup import configure_telemetry, shutdown_telemetry
from otel_setup.operations import (
    instrument_databases,
    log_database_event,
    log_error,
    log_monitoring_data,
    log_sync_operation,
    monitor_performance,
    session,
)


class Leads:
    """Leads in SQLite; records every call and every statement."""

    def __init__(self) -> None:
        self._database = sqlite3.connect(":memory:")
        self._database.execute("CREATE TABLE leads (id TEXT PRIMARY KEY, name TEXT, company TEXT UNIQUE)")

    @monitor_performance("add_lead")
    def add(self, lead: dict[str, str]) -> str | None:
        """The new lead's id; None if the company exists already."""
        lead_id = str(uuid.uuid4())
        result = {"success": True, "records_affected": 1}
        try:
            # With a cursor: the instrumentation of sqlite3 records only cursors.
            self._database.cursor().execute(
                "INSERT INTO leads VALUES (?, ?, ?)", (lead_id, lead["name"], lead["company"])
            )
        except sqlite3.IntegrityError as error:
            result = {"success": False, "records_affected": 0, "duplicate_detected": True}
            log_error(error, {"operation": "add_lead", "company": lead["company"]})
        log_database_event(
            "database_operation",
            {"lead_id": lead_id, **lead},
            result,
            {"operation_type": "add_lead", "performance_metrics": {"execution_time_ms": 150.5, "database_queries": 2}},
        )
        return lead_id if result["success"] else None


def main() -> None:
    """Adds leads, one of them twice, and synchronises them."""
    configure_telemetry(service_name="leads")
    if not instrument_databases("sqlite3"):
        print("SQL statements are not recorded: install opentelemetry-instrumentation-sqlite3", file=sys.stderr)
    leads = Leads()
    with session() as session_id:
        for name, company in (("Ada", "Engines"), ("Grace", "Compilers"), ("Ada again", "Engines")):
            leads.add({"name": name, "company": company})
        log_sync_operation(
            {"sync_type": "to_airtable", "batch_size": 10, "total_leads": 8},
            {"success": True, "leads_synced": 7, "leads_failed": 1, "execution_time_ms": 2500.0},
        )
        log_monitoring_data("health", {"status": "ok", "open_connections": 1})
    shutdown_telemetry()
    print(f"session {session_id}")
    if dsn := os.environ.get("OTELGRES_DSN"):
        with psycopg.connect(dsn) as connection:
            query = "SELECT document FROM compat.database_operations WHERE session_id = %s ORDER BY timestamp"
            for (document,) in connection.execute(query, [session_id]):
                print(document["operation_details"]["operation_type"], document["training_labels"])
            row = connection.execute(
                "SELECT total_operations, failed_operations, leads_synced, errors "
                "FROM compat.daily_summary ORDER BY day DESC"
            ).fetchone()
            print("today:", dict(zip(("operations", "failed", "synced", "errors"), row or (), strict=False)))


if __name__ == "__main__":
    main()
