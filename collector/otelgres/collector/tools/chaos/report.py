"""The result as text and as JSON."""

from collections.abc import Mapping
from dataclasses import asdict

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from otelgres.collector.tools.chaos.run import ChaosPlan, ChaosResult
from otelgres.collector.tools.chaos.speeds import Speeds
from otelgres.exporters.plural import counted

_COLUMNS = ("sent", "acked", "stored", "damaged", "lost", "duplicated", "rejected", "not_sent")


def show(console: Console, plan: ChaosPlan, result: ChaosResult, speeds: Speeds | None) -> None:
    """Prints the result."""
    reconciliation = result.reconciliation
    table = Table(title=f"otelgres chaos --seconds {plan.seconds:g} --seed {plan.seed} --kills {plan.kills}")
    table.add_column("item")
    for column in _COLUMNS:
        table.add_column(column, justify="right")
    for kind, line in reconciliation.lines.items():
        table.add_row(kind.value, *[f"{getattr(line, column):,}" for column in _COLUMNS])
    console.print(table)
    rollups = reconciliation.rollups
    print_line = console.print
    print_line(
        f"roll-ups: {counted(rollups['spans'], 'span')}, {rollups['in_flows']:,} in flows, "
        f"{rollups['in_span_stats']:,} in span_stats, {counted(rollups['wrong_flows'], 'flow')} wrong"
    )
    print_line(f"kills: {result.kills}   faults: {_counts(result.faults)}")
    print_line(f"requests: {_counts(result.requests)}")
    print_line(f"answers: {_counts(result.answers)}")
    print_line(
        f"receiver: peak resident memory {result.highest_rss / 1e6:,.0f} MB, "
        f"{counted(result.clean_stops, 'clean shutdown')}, {result.hung_stops} hung, "
        f"{counted(len(result.crashes), 'crash', 'crashes')}"
    )
    print_line(f"tracebacks in its log: {_counts(result.log_errors)}")
    if speeds:
        share = speeds.replay / speeds.ingest if speeds.ingest else 0.0
        print_line(
            f"speed: ingest {speeds.ingest:,.0f} spans/s, replay {speeds.replay:,.0f} spans/s (ratio {share:.2f})"
        )
    print_line(
        f"spooled batches destroyed on the disk: {reconciliation.damaged_batches}, "
        f"counted as lost: {reconciliation.counted_batches}"
    )
    print_line(f"losses recorded by the receiver: {_counts(reconciliation.losses)}")
    if not result.disk_limited:
        print_line("the spool's disk was not limited: that needs Linux and root with permission to mount")
    for unexpected in result.unexpected[:10] + result.crashes[:10]:
        print_line(f"  wrong: {unexpected}")
    for kind, line in reconciliation.lines.items():
        if line.examples:
            print_line(f"  {kind.value}: numbers {', '.join(map(str, line.examples))} …")
    if not result.answered:
        print_line("  timeout: some requests got no answer")
    if not result.replayed:
        print_line("  timeout: the spool was not empty")
    print_line(
        Text("nothing acknowledged was lost except what was destroyed on the disk; nothing was duplicated", "green")
        if result.right
        else Text("failed: see the lines above", "red")
    )


def as_json(plan: ChaosPlan, result: ChaosResult, speeds: Speeds | None) -> str:
    """The result as one line of JSON."""
    rest = {name: value for name, value in asdict(result).items() if name != "reconciliation"}
    figures = {"speeds": asdict(speeds)} if speeds else {}
    everything = {"plan": asdict(plan), **result.reconciliation.as_dict(), **rest, **figures, "right": result.right}
    return orjson.dumps(everything).decode()


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"
