"""Live view of incoming telemetry while the receiver runs: a table on a terminal, plain lines elsewhere.

Runs in its own thread, so that a blocked terminal or pipe does not delay the receiver.
"""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from otelgres.collector.inspect.console import TerminalConsole
from otelgres.collector.inspect.waterfall.draw import status_text
from otelgres.collector.system.terminal import clean
from otelgres.collector.telemetry.metrics import Numbers
from otelgres.exporters.plural import counted

_EVERY_SECONDS: Final = 1.0
_NOUNS: Final = ("span", "log", "point", "duplicate")


class Totals(NamedTuple):
    """Rows that were stored since the start, by signal, and the duplicates that were not stored again."""

    spans: int
    logs: int
    points: int
    duplicates: int
    commits: int


def totals_of(receivers: Iterable[Numbers]) -> Totals:
    """The totals of several receivers together."""
    sums: Counter[str] = Counter()
    for numbers in receivers:
        for (name, _), value in numbers.items():
            sums[name] += int(value)
    return Totals(
        sums["otelcol_exporter_sent_spans"],
        sums["otelcol_exporter_sent_log_records"],
        sums["otelcol_exporter_sent_metric_points"],
        sums["otelgres_items_duplicate_total"],
        sums["otelgres_commit_seconds_count"],
    )


class FlowLine(NamedTuple):
    """One recent flow."""

    start: datetime
    name: str
    service: str
    duration_ms: float
    spans: int
    status: str


RecentFlows = Callable[[], Sequence[FlowLine] | None]


def start_live(
    totals: Callable[[], Totals], recent_flows: RecentFlows, header: str, stop: threading.Event
) -> threading.Thread:
    """Starts the thread, which ends soon after ``stop`` is set; where ``recent_flows`` is None, none are shown."""
    console = TerminalConsole(file=sys.stdout)
    show = _on_terminal if console.is_terminal else _as_lines
    thread = threading.Thread(target=show, args=(console, totals, recent_flows, header, stop), name="live", daemon=True)
    thread.start()
    return thread


def _as_lines(
    console: Console, totals: Callable[[], Totals], recent_flows: RecentFlows, header: str, stop: threading.Event
) -> None:
    print(header, flush=True)
    before = totals()
    while not stop.wait(_EVERY_SECONDS):
        now = totals()
        if now.commits != before.commits:
            print(f"{datetime.now():%H:%M:%S} stored {_counts(before, now)}", flush=True)
        before = now


def _on_terminal(
    console: Console, totals: Callable[[], Totals], recent_flows: RecentFlows, header: str, stop: threading.Event
) -> None:
    console.print(header, highlight=False)
    before = first = totals()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            now = totals()
            live.update(_screen(before, now, first, recent_flows()), refresh=True)
            before = now
            if stop.wait(_EVERY_SECONDS):
                break
    console.print(f"stored in total: {_counts(first, totals())}", highlight=False)


def _screen(before: Totals, now: Totals, first: Totals, flows: Sequence[FlowLine] | None) -> RenderableType:
    rates = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("", "last second", "total"):
        rates.add_column(title, justify="left" if not title else "right", min_width=12)
    for name in (f"{noun}s" for noun in _NOUNS):
        rates.add_row(
            name,
            f"{getattr(now, name) - getattr(before, name):,}",
            f"{getattr(now, name) - getattr(first, name):,}",
        )
    if flows is None:
        return rates
    table = Table(box=None, pad_edge=False, header_style="dim", title="newest flows", title_justify="left")
    for title in ("start", "flow", "service", "status"):
        table.add_column(title, no_wrap=True, overflow="ellipsis")
    for title in ("ms", "spans"):
        table.add_column(title, justify="right", no_wrap=True)
    for flow in flows:
        table.add_row(
            f"{flow.start.astimezone():%H:%M:%S}",
            clean(flow.name),
            clean(flow.service),
            Text(status_text(flow.status), style="red" if flow.status == "ERROR" else ""),
            f"{flow.duration_ms:,.1f}",
            f"{flow.spans:,}",
        )
    waiting = Text("nothing yet: run the three lines above to send a log record", style="dim")
    return Group(rates, Text(), table if flows else waiting)


def _counts(before: Totals, now: Totals) -> str:
    counts = {noun: getattr(now, f"{noun}s") - getattr(before, f"{noun}s") for noun in _NOUNS}
    return ", ".join(counted(count, noun) for noun, count in counts.items() if count) or "nothing"
