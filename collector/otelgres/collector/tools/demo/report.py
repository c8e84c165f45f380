"""The findings as tables on a terminal, plain text in a pipe, or one JSON object."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from otelgres.collector.inspect.console import TerminalConsole
from otelgres.collector.tools.demo.comparison import answered
from otelgres.collector.tools.demo.findings import Findings
from otelgres.collector.tools.demo.system import SentItems
from otelgres.exporters.plural import counted

Row: TypeAlias = Mapping[str, Any]

_WIDEST: Final = 120
_PIPED: Final = 100
_SHOWN_FAILURES: Final = 2


class ReportColumn(NamedTuple):
    """Title and content of a column. Elastic columns are cut if the table is too wide."""

    title: str
    says: Callable[[Row], str]
    right: bool = False
    elastic: bool = False


def sent_as_json(sent: SentItems) -> str:
    """What was sent, as one line of JSON."""
    return orjson.dumps({"sent": _sent(sent)}).decode()


def _sent(sent: SentItems) -> dict[str, Any]:
    return {"records": sent.records, "spans": sent.spans, "logs": sent.logs, "answers": sent.answers}


def as_json(sent: SentItems, findings: Findings) -> str:
    """What was sent and found, as one line of JSON."""
    return orjson.dumps(
        {
            "sent": _sent(sent),
            "found": {
                "records": findings.records,
                "spans": {row["service_name"]: row["spans"] for row in findings.found},
                "logs": {row["service_name"]: row["logs"] for row in findings.found},
                "orders": {row["outcome"]: row["orders"] for row in findings.orders},
            },
            "slowest_flows": findings.slowest,
            "incomplete_flows": findings.incomplete,
            "phase_timing": findings.phases,
            "errors": findings.errors,
            "error_logs": findings.error_logs,
            "services": findings.services,
            "metrics": findings.metrics,
            "next": next_queries(findings),
        }
    ).decode()


def console() -> Console:
    """A console on stdout: up to 120 columns on a terminal, 100 in a pipe."""
    out = TerminalConsole(highlight=False)
    out.width = min(out.width, _WIDEST) if out.is_terminal else _PIPED
    return out


def show(out: Console, sent: SentItems, findings: Findings, psql: str) -> None:
    """Prints the report; ``psql`` is the command that opens the database."""
    spans, logs = (sum(row[what] for row in findings.found) for what in ("spans", "logs"))
    orders, measured = sum(answered(sent).values()), sum(row["orders"] for row in findings.orders)
    out.print(
        Text.assemble(
            (f"\n{counted(sent.records, 'record')} sent, {findings.records:,} found", "bold"),
            f" ({counted(spans, 'span')}, {counted(logs, 'log record')})\n"
            f"{counted(orders, 'order')} answered, {measured:,} counted by the metric shop.orders",
        )
    )
    _section(out, "Slowest flows", "otel.flows", _SLOWEST, findings.slowest)
    _section(out, "Where incomplete flows stopped", "otel.flows, otel.logs", _INCOMPLETE, findings.incomplete)
    _section(out, "Phase timing", "otel.phase_timing", _PHASES, findings.phases)
    _section(out, "Failed flows", "otel.spans, otel.flows", _ERRORS, findings.errors)
    for error in findings.errors[:_SHOWN_FAILURES]:
        logs_of = [row for row in findings.error_logs if row["flow_id"] == error["flow_id"]]
        where = f"otel.logs WHERE flow_id = '{error['flow_id']}'"
        _section(out, f"Logs of the newest {_kind(error)}", where, _LOGS, logs_of)
    _section(out, "Services", "otel.spans", _SERVICES, findings.services)
    _section(out, "Metrics", "otel.metric_points", _METRICS, findings.metrics)
    _title(out, "Queries to try", psql)
    for statement in next_queries(findings):
        # Not wrapped, so that it can be copied.
        out.print(f"\n{statement}", soft_wrap=True)


def next_queries(findings: Findings) -> list[str]:
    """Three statements to paste into psql."""
    flow_id = findings.slowest[0]["flow_id"] if findings.slowest else "00000000-0000-0000-0000-000000000000"
    return [statement.replace("FLOW_ID", str(flow_id)) for statement in _NEXT]


_NEXT: Final = (
    """\
SELECT phase, service_name, duration_ms, self_ms, wait_ms, share
FROM otel.phase_timing WHERE flow_id = 'FLOW_ID' ORDER BY start_time;""",
    """\
SELECT flow_id, last_checkpoint, now() - last_checkpoint_time AS stopped_for
FROM otel.flows WHERE NOT complete AND start_time > now() - interval '1 hour';""",
    """\
SELECT caller, callee, count(*) AS calls, count(*) FILTER (WHERE is_error) AS errors, max(duration_ms) AS max_ms
FROM otel.service_edges WHERE start_time > now() - interval '1 hour' GROUP BY caller, callee;""",
)


def _text(key: str) -> Callable[[Row], str]:
    return lambda row: "" if row[key] is None else str(row[key])


def _number(key: str, form: str = ",.1f") -> Callable[[Row], str]:
    return lambda row: "" if row[key] is None else format(row[key], form)


def _clock(key: str, digits: int = 0) -> Callable[[Row], str]:
    """Local time of day with ``digits`` (0 or 3) of the second's fraction."""
    return lambda row: (
        "" if row[key] is None else row[key].astimezone().strftime("%H:%M:%S.%f")[: 8 + digits + digits // 3]
    )


def _kind(row: Row) -> str:
    """The exception's type without its module."""
    return str(row["error"].rpartition(".")[2])


def _error(row: Row) -> str:
    return f"{_kind(row)}{row['status_message'].removeprefix(row['error'])}"


def _body(row: Row) -> str:
    return f"{row['body']}: {row['exception_message']}" if row["exception_message"] else str(row["body"])


def _raised(row: Row) -> str:
    """The last frame of the stack trace: ``charge, line 141``."""
    frames = [line for line in (row["stacktrace"] or "").splitlines() if line.lstrip().startswith("File ")]
    if not frames:
        return ""
    _, line, function = (*frames[-1].split(", "), "", "")[:3]
    return f"{function.removeprefix('in ')}, {line}"


def _metric(row: Row) -> str:
    # A unit in braces is an annotation (UCUM).
    unit = "" if (row["unit"] or "{").startswith("{") else f" {row['unit']}"
    if row["type"] == "sum":
        return f"{row['total']:,.0f}{unit}"
    if row["type"] == "gauge":
        low, high = f"{row['gauge_min']:,.0f}", f"{row['gauge_max']:,.0f}"
        return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"
    return f"{row['count'] or 0:,}, mean {row['mean'] or 0:,.1f}, max {row['max'] or 0:,.1f}{unit}"


_SLOWEST: Final = (
    ReportColumn("flow_id", _text("flow_id")),
    ReportColumn("ms", _number("duration_ms"), right=True),
    ReportColumn("spans", _number("span_count", ","), right=True),
    ReportColumn("status", _text("status")),
    ReportColumn("reached", _text("last_checkpoint"), elastic=True),
)
_INCOMPLETE: Final = (
    ReportColumn("flow_id", _text("flow_id")),
    ReportColumn("stopped after", _text("last_checkpoint")),
    ReportColumn("since", _clock("last_checkpoint_time")),
    ReportColumn("s ago", _number("since_seconds"), right=True),
    ReportColumn("in phase", _text("open_phase"), elastic=True),
)
_PHASES: Final = (
    ReportColumn("phase", _text("phase"), elastic=True),
    ReportColumn("service", _text("service_name")),
    ReportColumn("count", _number("count", ","), right=True),
    ReportColumn("avg ms", _number("avg_ms"), right=True),
    ReportColumn("p95 ms", _number("p95_ms"), right=True),
    ReportColumn("self ms", _number("self_ms"), right=True),
    ReportColumn("share", _number("share", ".0%"), right=True),
)
_ERRORS: Final = (
    ReportColumn("count", _number("count", ","), right=True),
    ReportColumn("newest error", _error, elastic=True),
    ReportColumn("stopped after", _text("last_checkpoint")),
)
_LOGS: Final = (
    ReportColumn("time", _clock("time", 3)),
    ReportColumn("service", _text("service_name")),
    ReportColumn("level", _text("level")),
    ReportColumn("body", _body, elastic=True),
    ReportColumn("raised in", _raised),
)
_SERVICES: Final = (
    ReportColumn("service", _text("service_name")),
    ReportColumn("spans", _number("span_count", ","), right=True),
    ReportColumn("requests/s", _number("requests_per_second"), right=True),
    ReportColumn("errors", _number("error_count", ","), right=True),
    ReportColumn("p50 ms", _number("p50_ms"), right=True),
    ReportColumn("p95 ms", _number("p95_ms"), right=True),
    ReportColumn("max ms", _number("max_ms"), right=True),
)
_METRICS: Final = (
    ReportColumn("metric", _text("metric_name"), elastic=True),
    ReportColumn("type", _text("type")),
    ReportColumn("service", _text("service_name")),
    ReportColumn("points", _number("points", ","), right=True),
    ReportColumn("says", _metric),
)


def _section(out: Console, title: str, source: str, columns: Sequence[ReportColumn], rows: Iterable[Row]) -> None:
    _title(out, title, source)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        # rich shrinks columns that may wrap first; their content is cut nevertheless.
        table.add_column(column.title, justify="right" if column.right else "left", no_wrap=not column.elastic)
    for row in rows:
        table.add_row(*(Text(column.says(row), no_wrap=True, overflow="ellipsis") for column in columns))
    if table.row_count:
        out.print(table)
    else:
        out.print("none", style="dim")


def _title(out: Console, title: str, source: str) -> None:
    out.print(Text.assemble("\n", (title, "bold"), " ", (f"· {source}", "dim")), soft_wrap=True)
