"""``otelgres flow``: one flow as a waterfall. Refuses to know what the views do not say."""

import dataclasses
import sys
from pathlib import Path

import click
import psycopg
from rich.console import Console

from otelgres.collector.cli.options import data_option
from otelgres.collector.embedded.cluster import running_dsn
from otelgres.collector.inspect.tabular.plain import as_json as json_of
from otelgres.collector.inspect.waterfall.draw import draw
from otelgres.collector.inspect.waterfall.read import flow_id_of, read
from otelgres.collector.service.settings import load

_PIPE_WIDTH = 140


@click.command(short_help="Draw a flow as a waterfall.")
@click.argument("flow", metavar="ID|latest")
@click.option("--dsn", help="The database [OTELGRES_DSN, else the embedded one that is running].")
@data_option
@click.option("--json", "as_json", is_flag=True, help="Print what was found as one line of JSON.")
def flow(flow: str, dsn: str | None, data: Path, as_json: bool) -> None:
    """Draw a flow: its spans on a scale of time, phases and their own time, the critical path, logs, what is missing.

    ID is a flow id (uuid) or a trace id (32 hex digits).
    """
    wanted = None if flow == "latest" else flow_id_of(flow)
    if wanted is None and flow != "latest":
        raise click.UsageError(f"{flow!r} is no flow id (uuid or 32 hex digits); `latest` is the latest flow.")
    target = load({"dsn": dsn}).dsn or running_dsn(data)
    if target is None:
        raise click.ClickException(f"no PostgreSQL is running on {data}: start one with `otelgres up`, or give --dsn.")
    try:
        with psycopg.connect(target, autocommit=True, connect_timeout=5) as connection:
            picture = read(connection, wanted)
    except psycopg.Error as error:
        raise click.ClickException(f"query failed: {str(error).strip()}") from error
    if picture is None:
        raise click.ClickException("there is no flow yet." if wanted is None else f"nothing is known of {wanted}.")
    if as_json:
        click.echo(json_of(dataclasses.asdict(picture)))
    else:
        draw(Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH), picture)
