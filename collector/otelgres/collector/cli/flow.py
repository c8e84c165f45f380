"""``otelgres flow``: prints one flow as a waterfall, or saves it as an image."""

import dataclasses
import io
import re
import sys
from pathlib import Path

import click
import psycopg

from otelgres.collector.cli.options import NamedPath, data_option
from otelgres.collector.cli.reading import database_to_read, output_file, query_failed
from otelgres.collector.inspect.console import TerminalConsole
from otelgres.collector.inspect.tabular.plain import as_json as json_of
from otelgres.collector.inspect.waterfall.draw import draw
from otelgres.collector.inspect.waterfall.read import FlowPicture, flow_id_of, read

_PIPE_WIDTH = 140
_IMAGE_WIDTH = 104


@click.command(short_help="Draw a flow as a waterfall.")
@click.argument("flow", metavar="ID|latest")
@click.option("--dsn", help="Database DSN [OTELGRES_DSN, else the running embedded one].")
@data_option
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@click.option("--svg", metavar="FILE", type=NamedPath(dir_okay=False, path_type=Path), help="Save as an SVG image.")
def flow(flow: str, dsn: str | None, data: Path, as_json: bool, svg: Path | None) -> None:
    """Draw a flow as a waterfall: spans, phases, self time, the critical path, logs, and missing parts.

    ID is a flow id (uuid), a trace id (32 hex digits), or `latest`.
    """
    if as_json and svg is not None:
        raise click.UsageError("Use either --json or --svg.")
    wanted = None if flow == "latest" else flow_id_of(flow)
    if wanted is None and flow != "latest":
        raise click.UsageError(f"{flow!r} is not a flow id: use a uuid, 32 hex digits, or `latest`.")
    target = database_to_read(dsn, data)
    try:
        with psycopg.connect(target, autocommit=True, connect_timeout=5) as connection:
            picture = read(connection, wanted)
    except psycopg.Error as error:
        raise query_failed(error) from error
    if picture is None:
        raise click.ClickException("there are no flows yet." if wanted is None else f"there is no flow {wanted}.")
    if svg is not None:
        with output_file(svg) as file:
            file.write(_image(picture))
    elif as_json:
        click.echo(json_of(dataclasses.asdict(picture)))
    else:
        draw(TerminalConsole() if sys.stdout.isatty() else TerminalConsole(width=_PIPE_WIDTH), picture)


def _image(picture: FlowPicture) -> str:
    """The waterfall as SVG."""
    console = TerminalConsole(file=io.StringIO(), width=_IMAGE_WIDTH, record=True, force_terminal=True, highlight=False)
    draw(console, picture)
    # rich links web fonts; opening the image must not load anything.
    return re.sub(r"@font-face \{[^}]*\}", "", console.export_svg(title=f"otelgres flow {picture.flow_id}"))
