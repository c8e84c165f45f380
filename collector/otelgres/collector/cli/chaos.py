"""``otelgres chaos``: checks that acknowledged items are stored exactly once, under faults and kills."""

import sys
from collections.abc import Callable

import click
import orjson

from otelgres.collector.inspect.console import TerminalConsole
from otelgres.collector.tools.chaos import report
from otelgres.collector.tools.chaos.interrupts import interruptible
from otelgres.collector.tools.chaos.overload import overload
from otelgres.collector.tools.chaos.run import ChaosPlan, run
from otelgres.collector.tools.chaos.speeds import speeds

_FIGURES_FROM = 60.0


@click.command(short_help="Inject faults under load and count lost items.")
@click.option(
    "--seconds", type=click.FloatRange(1, 86_400), default=30, show_default=True, help="Duration of fault injection."
)
@click.option("--seed", type=click.IntRange(0, 2**31), default=1, show_default=True, help="Seed of the fault schedule.")
@click.option(
    "--kills", type=click.IntRange(0), default=0, help="Minimum number of kill -9, even if that takes longer."
)
@click.option(
    "--overload",
    "overload_seconds",
    type=click.FloatRange(1, 86_400),
    help="Run an overload test of this many seconds instead.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def chaos(seconds: float, seed: int, kills: int, overload_seconds: float | None, as_json: bool) -> None:
    """Kill the receiver and PostgreSQL under load, then compare what was acknowledged with what is stored.

    All data is temporary and removed at the end. Exit status 1 if anything was lost or duplicated.
    """
    if sys.platform == "win32":
        raise click.ClickException("chaos runs on Linux and macOS only.")
    plan = ChaosPlan(seconds=seconds, seed=seed, kills=kills)
    console = TerminalConsole(stderr=True)
    try:
        with interruptible(), console.status("") as status:
            if overload_seconds is not None:
                _overload(overload_seconds, status.update, as_json=as_json)
                return
            result = run(plan, status.update)
            # Short runs are tests; they skip the measurement of speeds.
            measured = speeds(status.update) if seconds >= _FIGURES_FROM else None
    except KeyboardInterrupt:
        click.echo("stopped; all processes have ended", err=True)
        sys.exit(130)
    if as_json:
        click.echo(report.as_json(plan, result, measured))
    else:
        report.show(TerminalConsole(soft_wrap=True), plan, result, measured)
    if not result.right:
        sys.exit(1)


def _overload(seconds: float, progress: Callable[[str], None], *, as_json: bool) -> None:
    found = overload(seconds, progress)
    click.echo(orjson.dumps(found.as_dict()).decode() if as_json else found.as_text())
    if not found.right:
        sys.exit(1)
