"""Reads the data of one run of the sample system from the public views."""

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
    """One list of rows per query; the columns are those of ``sql/otelgres/sql/queries/demo_*.sql``."""

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
        """The number of spans and log records of the run in the database."""
        return sum(row["spans"] + row["logs"] for row in self.found)


def read_findings(dsn: str, run: str, since: datetime, seconds: float) -> Findings:
    """Reads the data of ``run``, which began after ``since`` and lasted ``seconds``, from the database at ``dsn``.

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
