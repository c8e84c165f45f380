"""Reads the current state from the public views."""

from typing import Any, Final, LiteralString, TypeAlias

import psycopg
from psycopg.rows import dict_row

from otelgres.sql.queries import query

Rows: TypeAlias = list[dict[str, Any]]

_QUERIES: Final[dict[str, LiteralString]] = {
    "receivers": "status_receivers",
    "alerts": "alerts",
    "services": "monitor_services",
    "flows": "monitor_flows",
    "open": "monitor_open",
    "heartbeats": "monitor_heartbeats",
    "subscriptions": "monitor_subscriptions",
}


def read(connection: psycopg.Connection[Any]) -> dict[str, Rows]:
    """Returns the rows by section. Raises psycopg.Error."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = {name: cursor.execute(query(file)).fetchall() for name, file in _QUERIES.items()}
    found["alerts"] = [row for row in found["alerts"] if row["firing"]]
    return found
