"""Formats the sections for 80 columns; control characters are removed from telemetry."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from otelgres.collector.inspect.monitor.read import Rows
from otelgres.collector.inspect.waterfall.draw import milliseconds
from otelgres.collector.system.terminal import clean
from otelgres.exporters.plural import counted

# An incomplete flow without new telemetry for this long is shown as stalled.
_STALLED_SECONDS: Final = 60.0
Cell = str | Text


def screen(found: dict[str, Rows], at: datetime, lines: int | None = None) -> RenderableType:
    """The screen, alerts first. With ``lines`` the longest sections are cut so that it fits."""
    sections: list[tuple[str, list[str], Rows, Callable[[dict[str, Any]], Sequence[Cell]]]] = [
        ("ALERTS", ["", "what"], found["alerts"], _alert),
        ("SERVICES, 5 minutes", ["", ">per s", ">failed", ">p50 ms", ">p95 ms"], found["services"], _service),
        ("RUNNING FLOWS", ["", ">since", ">idle", "reached"], found["flows"], _flow),
        ("OPEN", ["", "service", ">since", "state"], found["open"], _open),
        ("HEARTBEATS", ["", ">age", "stats"], found["heartbeats"], _heartbeat),
        ("SUBSCRIPTIONS", ["", "channel", "state"], found["subscriptions"], _subscription),
    ]
    shown = [one for one in sections if one[2] or one[3] in (_service, _flow)]
    wanted = [max(1, len(rows)) for _, _, rows, _ in shown]
    # Each section also has an empty line and a header line.
    room = sum(wanted) if lines is None else max(len(shown), lines - 1 - 2 * len(shown))
    parts: list[RenderableType] = [_head(found, at)]
    for (title, columns, rows, cells), most in zip(shown, fitted(wanted, room), strict=True):
        parts.append(_section(title, columns, rows, cells, most))
    return Group(*parts)


def fitted(wanted: Sequence[int], room: int) -> list[int]:
    """The number of lines per section so that all fit into ``room``: the longest are cut first, each keeps one."""
    given = list(wanted)
    while sum(given) > room and max(given) > 1:
        given[given.index(max(given))] -= 1
    return given


def _head(found: dict[str, Rows], at: datetime) -> Text:
    alive = [row for row in found["receivers"] if row["alive"]]
    text = Text("otelgres ", "bold")
    text.append(f"{at.astimezone():%H:%M:%S}  ", "dim")
    if alive:
        spooled = sum(row["spool_bytes"] for row in alive)
        text.append(f"{counted(len(alive), 'receiver')} alive", "green")
        text.append(f", {sum(row['items_stored'] for row in alive):,} stored, commit {alive[0]['commit_ms'] or '?'} ms")
        text.append(f", {counted(spooled, 'byte')} in the spool", "yellow" if spooled > 1_000_000 else "")
    else:
        text.append("no receiver is alive", "bold red")
    return text


def _section(
    title: str, columns: Sequence[str], rows: Rows, cells: Callable[[dict[str, Any]], Sequence[Cell]], most: int
) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False, expand=False)
    for number, column in enumerate(columns):
        figures = column.startswith(">")
        # If the lines are too long, rich shortens the columns that may wrap, the widest first: never the figures. The
        # text in them does not wrap.
        table.add_column(
            _one_line(Text(title if number == 0 else column.removeprefix(">"))),
            justify="right" if figures else "left",
            no_wrap=figures,
            header_style="bold" if number == 0 else "dim",
        )
    whole = len(rows) <= most
    for row in rows[: most if whole else max(1, most - 1)]:
        table.add_row(*[_one_line(cell if isinstance(cell, Text) else Text(clean(cell))) for cell in cells(row)])
    if not rows:
        table.add_row(Text("none", "dim"))
    elif not whole and most > 1:
        table.add_row(Text(f"and {len(rows) - most + 1} more", "dim"))
    return Group(Text(""), table)


def _one_line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _alert(row: dict[str, Any]) -> Sequence[Cell]:
    style = "bold red" if row["severity"] == "critical" else "yellow"
    return Text(clean(f"{row['rule']} {row['subject']}"), style), row["summary"]


def _service(row: dict[str, Any]) -> Sequence[Cell]:
    failed = row["failed"]
    p50, p95 = row["quantiles"]
    share = Text(f"{failed:.1%}", "red" if failed > 0.05 else "yellow" if failed else "")
    return row["service_name"], f"{row['per_second']:,.1f}", share, milliseconds(p50), milliseconds(p95)


def _flow(row: dict[str, Any]) -> Sequence[Cell]:
    idle = row["idle_seconds"]
    stalled = idle > _STALLED_SECONDS
    reached = row["last_checkpoint"] or "-"
    return (
        row["name"] or "?",
        _seconds((datetime.now(UTC) - row["start_time"]).total_seconds()),
        Text(_seconds(idle), "red" if stalled else ""),
        (f"stalled after {reached}" if stalled else reached)
        + (f", missing {row['missing'][0]}" if row["missing"] else ""),
    )


def _open(row: dict[str, Any]) -> Sequence[Cell]:
    since = (datetime.now(UTC) - row["start_time"]).total_seconds()
    state = Text(row["state"], {"abandoned": "bold red", "silent": "yellow"}.get(row["state"], ""))
    return f"{row['type']} {row['name']}", row["service_name"] or "?", _seconds(since), state


def _heartbeat(row: dict[str, Any]) -> Sequence[Cell]:
    stats = row["stats"] if isinstance(row["stats"], dict) else {}
    figures = ", ".join(f"{key} {value}" for key, value in stats.items() if isinstance(value, int | float | str))
    return row["source_system"], Text(_seconds(row["age_seconds"]), "red" if row["missed"] else "green"), figures


def _subscription(row: dict[str, Any]) -> Sequence[Cell]:
    state = Text("confirmed", "green") if row["confirmed"] else Text("not confirmed", "yellow")
    return row["source_system"], row["channel"] or "?", state


def _seconds(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
