"""Formats rows as lines of text; control characters are removed."""

from typing import Any, Final

from rich.text import Text

from otelgres.collector.inspect.waterfall.draw import milliseconds, status_text
from otelgres.collector.system.terminal import clean
from otelgres.exporters.plural import counted

_LEVELS: Final = ((21, "FATAL", "bold red"), (17, "ERROR", "red"), (13, "WARN", "yellow"), (9, "INFO", "green"))
_SERVICE: Final = 14  # columns; longer names are not cut


def line(what: str, row: dict[str, Any]) -> Text:
    """Formats one row of ``logs``, ``spans`` or ``flows``."""
    text = Text(f"{row['time'].astimezone():%H:%M:%S.%f}"[:-3], "dim")
    text.append(f" {clean(row['service_name'] or '?'):<{_SERVICE}} ", "cyan")
    return {"logs": _log, "spans": _span, "flows": _flow}[what](text, row)


def _log(text: Text, row: dict[str, Any]) -> Text:
    number = row["severity_number"] or 0
    name, style = next(((name, style) for least, name, style in _LEVELS if number >= least), ("DEBUG", "dim"))
    text.append(f"{name:<5} ", style)
    text.append(clean(row["body"] or ""))
    return _flow_id(text, row)


def _span(text: Text, row: dict[str, Any]) -> Text:
    failed = row["status"] == "ERROR"
    text.append(f"{milliseconds(row['duration_ms']):>9} ms  ")
    text.append(clean(row["name"]), "red" if failed else "")
    if failed:
        text.append(f"  {clean(row['status_message'] or 'ERROR')}", "red")
    return _flow_id(text, row)


def _flow(text: Text, row: dict[str, Any]) -> Text:
    failed = row["status"] == "ERROR"
    text.append(f"{milliseconds(row['duration_ms']):>9} ms  ")
    text.append(clean(row["name"]), "red" if failed else "")
    text.append(f"  {status_text(row['status'])}  {counted(row['span_count'], 'span')}", "red" if failed else "dim")
    if row["last_checkpoint"]:
        text.append(f"  reached {clean(row['last_checkpoint'])}")
    return _flow_id(text, row)


def _flow_id(text: Text, row: dict[str, Any]) -> Text:
    if row["flow_id"] is not None:
        text.append(f"  {row['flow_id']}", "dim")
    return text
