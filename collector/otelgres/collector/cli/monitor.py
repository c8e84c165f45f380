"""``otelgres monitor``: prints the current state on one screen, once or continuously."""

import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import psycopg
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from otelgres.collector.cli.options import data_option
from otelgres.collector.cli.reading import database_to_read, query_failed
from otelgres.collector.inspect.console import TerminalConsole
from otelgres.collector.inspect.monitor.read import read
from otelgres.collector.inspect.monitor.screen import screen
from otelgres.collector.inspect.tabular.plain import as_json as json_of

_PIPE_WIDTH = 100


@click.command(short_help="Show services, flows, heartbeats and alerts.")
@click.option("--watch", is_flag=True, help="Refresh until Ctrl-C.")
@click.option(
    "--interval",
    "every",
    type=click.FloatRange(0.2, 3600),
    default=2,
    show_default=True,
    help="Refresh interval in seconds.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per refresh.")
@click.option("--dsn", help="Database DSN [OTELGRES_DSN, else the running embedded one].")
@data_option
def monitor(watch: bool, every: float, as_json: bool, dsn: str | None, data: Path) -> None:
    """Show services, running and stalled flows, heartbeats, subscriptions, receivers and firing alerts."""
    target = database_to_read(dsn, data)
    console = TerminalConsole() if sys.stdout.isatty() else TerminalConsole(width=_PIPE_WIDTH)
    try:
        if as_json or not (watch and console.is_terminal):
            _lines(target, console, every, watch=watch, as_json=as_json)
        else:
            _live(target, console, every)
    except psycopg.Error as error:
        raise query_failed(error) from error
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        sys.stdout = None


def _lines(dsn: str, console: Console, every: float, *, watch: bool, as_json: bool) -> None:
    with _connected(dsn) as connection:
        while True:
            found = read(connection)
            if as_json:
                print(json_of({"at": datetime.now(UTC), **found}), flush=True)
            else:
                console.print(screen(found, datetime.now(UTC)))
            if not watch:
                return
            threading.Event().wait(every)


def _live(dsn: str, console: Console, every: float) -> None:
    connection: psycopg.Connection[Any] | None = None
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            try:
                connection = connection or _connected(dsn)
                shown: RenderableType = screen(read(connection), datetime.now(UTC), console.height)
            except psycopg.Error as error:
                # Keeps running and reconnects at the next refresh.
                connection = None
                shown = Text(f"query failed: {str(error).strip().splitlines()[0]}", "bold red")
            # One refresh draws the whole screen, so that it does not flicker.
            live.update(shown, refresh=True)
            threading.Event().wait(every)


def _connected(dsn: str) -> psycopg.Connection[Any]:
    connection = psycopg.connect(dsn, autocommit=True, connect_timeout=5, application_name="otelgres monitor")
    connection.execute("SET statement_timeout = '10s'")
    return connection
