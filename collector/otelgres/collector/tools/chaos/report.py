"""The result as text and as JSON."""

from collections.abc import Mapping
from dataclasses import asdict

import orjson
from rich.console import Console
from rich.table import Table

from otelgres.collector.system.plural import counted
from otelgres.collector.tools.chaos.run import ChaosPlan, ChaosResult
from otelgres.collector.tools.chaos.speeds import Speeds

_COLUMNS = ("sent", "acked", "stored", "damaged", "lost", "doubled", "refused", "invented")


def show(console: Console, plan: ChaosPlan, result: ChaosResult, speeds: Speeds | None) -> None:
    """Prints the result."""
    table = Table(title=f"otelgres chaos --seconds {plan.seconds:g} --seed {plan.seed} --kills {plan.kills}")
    table.add_column("item")
    for column in _COLUMNS:
        table.add_column(column, justify="right")
    for kind, line in result.account.lines.items():
        table.add_row(kind.value, *[f"{getattr(line, column):,}" for column in _COLUMNS])
    console.print(table)
    rollups = result.account.rollups
    say = console.print
    say(
        f"roll-ups: {counted(rollups['spans'], 'span')}, {rollups['in_flows']:,} in flows, "
        f"{rollups['in_span_stats']:,} in span_stats, {counted(rollups['wrong_flows'], 'flow')} wrong"
    )
    say(f"kills: {result.kills}   faults: {_counts(result.faults)}")
    say(f"requests: {_counts(result.requests)}")
    say(f"answers: {_counts(result.answers)}")
    say(
        f"receiver: peak resident memory {result.highest_rss / 1e6:,.0f} MB, "
        f"{counted(result.clean_stops, 'clean shutdown')}, {result.hung_stops} hung, "
        f"{counted(len(result.crashes), 'crash', 'crashes')}"
    )
    say(f"tracebacks in its log: {_counts(result.log_errors)}", markup=False)
    if speeds:
        share = speeds.replay / speeds.ingest if speeds.ingest else 0.0
        say(f"speed: ingest {speeds.ingest:,.0f} spans/s, replay {speeds.replay:,.0f} spans/s (ratio {share:.2f})")
    account = result.account
    say(f"spooled batches destroyed on the disk: {account.damaged_batches}, counted as lost: {account.counted_batches}")
    say(f"losses recorded by the receiver: {_counts(result.account.losses)}")
    if not result.disk_limited:
        say("the spool's disk was not limited: that needs Linux and root with permission to mount")
    for odd in result.odd[:10] + result.crashes[:10]:
        say(f"  wrong: {odd}", markup=False)
    for kind, line in result.account.lines.items():
        if line.examples:
            say(f"  {kind.value}: numbers {', '.join(map(str, line.examples))} …")
    if not result.answered:
        say("  timeout: some requests got no answer")
    if not result.replayed:
        say("  timeout: the spool was not empty")
    say(
        "[green]nothing acknowledged was lost except what was destroyed on the disk; nothing was duplicated[/green]"
        if result.right
        else "[red]failed: see the lines above[/red]"
    )


def as_json(plan: ChaosPlan, result: ChaosResult, speeds: Speeds | None) -> str:
    """The result as one line of JSON."""
    rest = {name: value for name, value in asdict(result).items() if name != "account"}
    figures = {"speeds": asdict(speeds)} if speeds else {}
    everything = {"plan": asdict(plan), **result.account.as_dict(), **rest, **figures, "right": result.right}
    return orjson.dumps(everything).decode()


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"
