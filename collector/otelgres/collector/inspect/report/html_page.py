"""A report as one self-contained HTML page. All values are escaped; scripts are forbidden by its security policy."""

from datetime import datetime
from html import escape
from typing import IO, Any, Final

from otelgres.collector.inspect.report.sections import Report, Section
from otelgres.collector.inspect.tabular.plain import as_text

_KINDS: Final = {
    "timestamptz": ' class="time"',
    **dict.fromkeys(("int2", "int4", "int8", "float4", "float8", "numeric"), ' class="number"'),
}
_LONGEST_WORD: Final = 40
_STYLE: Final = """
body { font: 14px/1.4 system-ui, sans-serif; color: #1a1a1a; margin: 2em auto; max-width: 110em; padding: 0 1em; }
h1 { font-size: 1.5em; margin: 0; } h2 { font-size: 1.1em; margin: 2em 0 .4em; } p { color: #555; margin: .2em 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .25em .7em .25em 0; border-bottom: 1px solid #ddd; }
th { color: #555; font-weight: 600; white-space: nowrap; } td { max-width: 40em; }
.time { white-space: nowrap; } .long { overflow-wrap: anywhere; }
.number { text-align: right; } tr { break-inside: avoid; } thead { display: table-header-group; }
@page { size: landscape; margin: 12mm; }
@media print { body { margin: 0; font-size: 9px; } .wide { overflow: visible; } }
"""


def write_html(report: Report, out: IO[str]) -> None:
    """Writes the page."""
    title = escape(report.kind.title)
    out.write(
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f"<p>{_time(report.since)} to {_time(report.until)}</p>\n<p>created {_time(report.made_at)} by otelgres</p>\n"
    )
    for section in report.sections:
        _write_section(section, out)
    out.write("</body>\n</html>\n")


def _write_section(section: Section, out: IO[str]) -> None:
    out.write(f"<h2>{escape(section.plan.title)}</h2>\n")
    if not section.rows:
        out.write(f"<p>{escape(section.plan.empty)}</p>\n")
        return
    kinds = [_KINDS.get(column.type, "") for column in section.columns]
    out.write('<div class="wide"><table>\n<thead><tr>')
    for column, kind in zip(section.columns, kinds, strict=True):
        out.write(f"<th{kind}>{escape(column.name.replace('_', ' '))}</th>")
    out.write("</tr></thead>\n<tbody>\n")
    for row in section.rows:
        cells = "".join(_cell(shown(value), kind) for value, kind in zip(row, kinds, strict=True))
        out.write(f"<tr>{cells}</tr>\n")
    out.write("</tbody>\n</table></div>\n")


def _cell(text: str, kind: str) -> str:
    # Only words that would make the page too wide are broken.
    kind = kind or (' class="long"' if any(len(word) > _LONGEST_WORD for word in text.split()) else "")
    return f"<td{kind}>{escape(text)}</td>"


def shown(value: Any) -> str:
    """A value as text: times in UTC to the second, numbers with three decimals, lists without brackets."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return as_text(value)


def _time(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M} UTC"
