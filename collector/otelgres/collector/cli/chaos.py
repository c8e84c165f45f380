"""``otelgres chaos``: is what was acknowledged there, once, after everything was killed many times?"""

import sys
from collections.abc import Callable

import click
import orjson
from rich.console import Console

from otelgres.collector.tools.chaos import report
from otelgres.collector.tools.chaos.overload import overload
from otelgres.collector.tools.chaos.run import ChaosPlan, interruptible, run
from otelgres.collector.tools.chaos.speeds import speeds

_FIGURES_FROM = 60.0


@click.command(short_help="Kill and restart under load, and count what is lost.")
@click.option(
    "--seconds", type=click.FloatRange(1, 86_400), default=30, show_default=True, help="How long things break."
)
@click.option("--seed", type=click.IntRange(0, 2**31), default=1, show_default=True, help="What breaks in which order.")
@click.option("--kills", type=click.IntRange(0), default=0, help="At least so many kill -9, even if it takes longer.")
@click.option(
    "--overload", "overload_seconds", type=click.FloatRange(1, 86_400), help="Instead: twice the load, so long."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one line of JSON.")
def chaos(seconds: float, seed: int, kills: int, overload_seconds: float | None, as_json: bool) -> None:
    """Kill the receiver and PostgreSQL under load and hold the senders' ledger against SQL.

    Everything runs on data of its own and is gone afterwards. Exit status 1 if anything was lost or doubled.
    """
    if sys.platform == "win32":
        raise click.ClickException("chaos needs the signals and sockets of Linux or macOS.")
    plan = ChaosPlan(seconds=seconds, seed=seed, kills=kills)
    console = Console(stderr=True)
    try:
        with interruptible(), console.status("") as status:
            if overload_seconds is not None:
                _overload(overload_seconds, status.update, as_json=as_json)
                return
            result = run(plan, status.update)
            # A short run is a test, and has no time for figures.
            measured = speeds(status.update) if seconds >= _FIGURES_FROM else None
    except KeyboardInterrupt:
        click.echo("stopped; nothing is left running", err=True)
        sys.exit(130)
    if as_json:
        click.echo(report.as_json(plan, result, measured))
    else:
        report.show(Console(soft_wrap=True), plan, result, measured)
    if not result.right:
        sys.exit(1)


def _overload(seconds: float, progress: Callable[[str], None], *, as_json: bool) -> None:
    found = overload(seconds, progress)
    click.echo(orjson.dumps(found.as_dict()).decode() if as_json else found.told())
    if not found.right:
        sys.exit(1)
