"""The reports, their sections and the queries of these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg

from otelgres.collector.inspect.tabular import Column
from otelgres.sql.queries import query


@dataclass(frozen=True, slots=True)
class ReportPlan:
    """The definition of a section: name, title, query, and the text shown if there are no rows."""

    name: str
    title: str
    query: str
    empty: str = "none"


@dataclass(frozen=True, slots=True)
class Section:
    """A section with its rows."""

    plan: ReportPlan
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class ReportKind:
    """The definition of a report: title, default period in days, and sections; ``main`` is the one for CSV."""

    title: str
    days: int
    main: str
    plans: tuple[ReportPlan, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A report with its rows, from ``since`` to ``until``, read at ``made_at``."""

    name: str
    kind: ReportKind
    since: datetime
    until: datetime
    made_at: datetime
    sections: Sequence[Section]


KINDS: Final[Mapping[str, ReportKind]] = {
    "errors": ReportKind(
        "Errors", 7, "errors",
        (
            ReportPlan("errors", "Errors by type, phase and terminal", "report_errors"),
            ReportPlan("runs", "Runs with the most errors", "report_error_runs"),
            ReportPlan("samples", "Latest 50 errors", "report_error_samples"),
        ),
    ),
    "compliance": ReportKind(
        "Compliance", 30, "runs",
        (
            ReportPlan("totals", "Totals", "report_totals"),
            ReportPlan("runs", "Every run", "report_runs_list"),
            ReportPlan("reasons", "Runs that failed, by reason", "report_reasons"),
            ReportPlan("gaps", "Gaps: runs whose process ended before they did", "report_abandoned"),
            ReportPlan("losses", "Records rejected, dropped or repaired", "report_losses"),
            ReportPlan("retention", "Retention in force now", "report_retention"),
        ),
    ),
    "runs": ReportKind(
        "Runs", 365, "months",
        (
            ReportPlan("totals", "Totals", "report_totals"),
            ReportPlan("months", "Month by month", "report_months"),
            ReportPlan("reasons", "Runs that failed, by reason", "report_reasons"),
            ReportPlan("phases", "Phases, the least reliable first", "report_phases"),
            ReportPlan("terminals", "Terminals with warnings or errors, the least reliable first", "report_terminals"),
        ),
    ),
    "daily": ReportKind("Operations, day by day", 30, "days", (ReportPlan("days", "Days (UTC)", "report_daily"),)),
}  # fmt: skip


def read(
    connection: psycopg.Connection, name: str, since: datetime | None, until: datetime, section: str | None = None
) -> Report:
    """Reads the sections of report ``name``, or one of them, in one snapshot. Raises psycopg.Error."""
    kind = KINDS[name]
    since = since or until - timedelta(days=kind.days)
    wanted = [plan for plan in kind.plans if section in (None, plan.name)]
    sections = [_ask(connection, plan, {"since": since, "until": until}) for plan in wanted]
    row = connection.execute("SELECT now()").fetchone()
    assert row is not None
    return Report(name, kind, since, until, row[0], sections)


def _ask(connection: psycopg.Connection, plan: ReportPlan, times: Mapping[str, datetime]) -> Section:
    cursor = connection.execute(query(plan.query), times)
    described = cursor.description or []
    types = connection.adapters.types
    columns = [
        Column(column.name, info.name if (info := types.get(column.type_code)) is not None else "text")
        for column in described
    ]
    return Section(plan, columns, cursor.fetchall())
