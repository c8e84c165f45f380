"""Which sections a report has, and their rows. Refuses to know formats, and any SQL but by the name of its query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg

from otelgres.collector.inspect.tabular import Column
from otelgres.sql.queries import query


@dataclass(frozen=True, slots=True)
class Plan:
    """A section to be asked for: its name, title, query, and what it says where there is no row."""

    name: str
    title: str
    query: str
    empty: str = "none"


@dataclass(frozen=True, slots=True)
class Section:
    """A section with its rows."""

    plan: Plan
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A report: its title, how far it looks back unless it is told, and its sections; ``main`` is the one for CSV."""

    title: str
    days: int
    main: str
    plans: tuple[Plan, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was asked for: rows of ``since`` to ``until``, as they were at ``made_at``."""

    name: str
    kind: Kind
    since: datetime
    until: datetime
    made_at: datetime
    sections: Sequence[Section]


KINDS: Final[Mapping[str, Kind]] = {
    "errors": Kind(
        "Errors", 7, "errors",
        (
            Plan("errors", "Errors by type, phase and terminal", "report_errors"),
            Plan("runs", "Runs with the most errors", "report_error_runs"),
            Plan("samples", "The latest 50", "report_error_samples"),
        ),
    ),
    "compliance": Kind(
        "Compliance", 30, "runs",
        (
            Plan("totals", "Totals", "report_totals"),
            Plan("runs", "Every run", "report_runs_list"),
            Plan("reasons", "Runs that failed, by reason", "report_reasons"),
            Plan("gaps", "Gaps: runs whose process was gone before they ended", "report_gaps"),
            Plan("losses", "Records refused, dropped or repaired", "report_losses"),
            Plan("retention", "Retention in force now", "report_retention"),
        ),
    ),
    "runs": Kind(
        "Runs", 365, "months",
        (
            Plan("totals", "Totals", "report_totals"),
            Plan("months", "Month by month", "report_months"),
            Plan("reasons", "Runs that failed, by reason", "report_reasons"),
            Plan("phases", "Phases, the least reliable first", "report_phases"),
            Plan("terminals", "Terminals with warnings or errors, the least reliable first", "report_terminals"),
        ),
    ),
    "daily": Kind("Operations, day by day", 30, "days", (Plan("days", "Days (UTC)", "report_daily"),)),
}  # fmt: skip


def read(
    connection: psycopg.Connection, name: str, since: datetime | None, until: datetime, section: str | None = None
) -> Report:
    """Asks for the sections of report ``name``, or for one of them, all in one snapshot. Raises psycopg.Error."""
    kind = KINDS[name]
    since = since or until - timedelta(days=kind.days)
    wanted = [plan for plan in kind.plans if section in (None, plan.name)]
    sections = [_ask(connection, plan, {"since": since, "until": until}) for plan in wanted]
    row = connection.execute("SELECT now()").fetchone()
    assert row is not None
    return Report(name, kind, since, until, row[0], sections)


def _ask(connection: psycopg.Connection, plan: Plan, times: Mapping[str, datetime]) -> Section:
    cursor = connection.execute(query(plan.query), times)
    described = cursor.description or []
    types = connection.adapters.types
    columns = [
        Column(column.name, info.name if (info := types.get(column.type_code)) is not None else "text")
        for column in described
    ]
    return Section(plan, columns, cursor.fetchall())
