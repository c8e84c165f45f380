"""Writes a report as text, HTML, CSV or JSON."""

from typing import IO, Final

from otelgres.collector.inspect.report.html_page import shown, write_html
from otelgres.collector.inspect.report.sections import Report
from otelgres.collector.inspect.tabular.plain import as_json
from otelgres.collector.inspect.tabular.text import CsvWriter, TableWriter

FORMATS: Final = ("text", "html", "csv", "json")


def write(report: Report, form: str, out: IO[str]) -> None:
    """Writes ``report`` as ``form``. CSV has one section: the selected one, else the report's main one."""
    match form:
        case "html":
            write_html(report, out)
        case "csv":
            _write_csv(report, out)
        case "json":
            _write_json(report, out)
        case _:
            _write_text(report, out)


def _write_text(report: Report, out: IO[str]) -> None:
    out.write(f"{report.kind.title}\n{report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC\n")
    for section in report.sections:
        out.write(f"\n{section.plan.title}\n")
        if not section.rows:
            out.write(f"{section.plan.empty}\n")
            continue
        with TableWriter(section.columns, out) as table:
            for row in section.rows:
                table.write([shown(value) for value in row])


def _write_csv(report: Report, out: IO[str]) -> None:
    names = [section.plan.name for section in report.sections]
    section = report.sections[names.index(report.kind.main) if report.kind.main in names else 0]
    with CsvWriter(section.columns, out) as table:
        for row in section.rows:
            table.write(row)


def _write_json(report: Report, out: IO[str]) -> None:
    sections = {
        section.plan.name: [
            dict(zip((column.name for column in section.columns), row, strict=True)) for row in section.rows
        ]
        for section in report.sections
    }
    out.write(
        as_json(
            {
                "report": report.name,
                "since": report.since,
                "until": report.until,
                "made_at": report.made_at,
                "sections": sections,
            }
        )
        + "\n"
    )
