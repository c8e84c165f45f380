"""``otelgres status``: prints receivers, losses and partitions."""

import sys
from pathlib import Path
from typing import Any

import click
import orjson
import psycopg
from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table
from rich.text import Text

from otelgres.collector.cli.options import data_option
from otelgres.collector.cli.reading import database_to_read, query_failed
from otelgres.collector.inspect.console import TerminalConsole
from otelgres.collector.system.terminal import clean
from otelgres.sql.queries import query

_QUERIES = ("status_receivers", "status_rejected", "status_losses", "status_partitions")


@click.command(short_help="Show receivers, losses and partitions.")
@click.option("--dsn", help="Database DSN [OTELGRES_DSN, else the running embedded one].")
@data_option
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def status(dsn: str | None, data: Path, as_json: bool) -> None:
    """Show receivers, losses and partitions. Exit status 1 if no receiver is alive."""
    target = database_to_read(dsn, data)
    try:
        with psycopg.connect(target, autocommit=True, connect_timeout=5, row_factory=dict_row) as connection:
            found = {name: connection.execute(query(name)).fetchall() for name in _QUERIES}
    except psycopg.Error as error:
        raise query_failed(error) from error
    if as_json:
        click.echo(orjson.dumps({name.removeprefix("status_"): rows for name, rows in found.items()}, default=str))
    else:
        # A pipe has no width; cells must not be cut there.
        console = TerminalConsole() if sys.stdout.isatty() else TerminalConsole(width=200)
        _show(console, "receivers", found["status_receivers"], "none")
        _show(console, "rejected since these receivers started", found["status_rejected"], "none")
        _show(console, "losses, last 24 hours", found["status_losses"], "none")
        _show(console, "partitions", found["status_partitions"], "none")
    if not any(row["alive"] for row in found["status_receivers"]):
        raise SystemExit(1)


def _show(console: Console, title: str, rows: list[dict[str, Any]], nothing: str) -> None:
    console.print(Text.assemble((title, "bold"), "" if rows else f": {nothing}"))
    if not rows:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in rows[0]:
        table.add_column(
            column.replace("_", " "), justify="right" if isinstance(rows[0][column], int | float) else "left"
        )
    for row in rows:
        table.add_row(*["" if value is None else f"{value:,}" if isinstance(value, int) and not isinstance(value, bool)
                        else clean(str(value)) for value in row.values()])  # fmt: skip
    console.print(table)
