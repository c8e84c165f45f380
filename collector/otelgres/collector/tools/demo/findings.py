"""What SQL says of one run of the sample system, through the public views only. Refuses to know how it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import psycopg
from psycopg.rows import dict_row

from otelgres.sql.queries import query

Rows: TypeAlias = list[dict[str, Any]]


@dataclass(frozen=True)
class Findings:
    """One list of rows a question; the columns are those of ``sql/otelgres/sql/queries/demo_*.sql``."""

    found: Rows
    orders: Rows
    slowest: Rows
    incomplete: Rows
    phases: Rows
    errors: Rows
    error_logs: Rows
    services: Rows
    metrics: Rows

    @property
    def records(self) -> int:
        """Spans and log records of the run that are in the database."""
        return sum(row["spans"] + row["logs"] for row in self.found)


def look(dsn: str, run: str, since: datetime, seconds: float) -> Findings:
    """Asks the database at ``dsn`` about ``run``, which began after ``since`` and lasted ``seconds``.

    Raises psycopg.Error.
    """
    known: dict[str, Any] = {"run": run, "since": since, "seconds": seconds}
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10, row_factory=dict_row) as connection:

        def ask(name: str, **more: Sequence[Any]) -> Rows:
            return connection.execute(query(f"demo_{name}"), known | more).fetchall()

        errors = ask("errors")
        return Findings(
            found=ask("found"),
            orders=ask("orders"),
            slowest=ask("slowest"),
            incomplete=ask("incomplete"),
            phases=ask("phases"),
            errors=errors,
            error_logs=ask("error_logs", flow_ids=[row["flow_id"] for row in errors]),
            services=ask("services"),
            metrics=ask("metrics"),
        )
