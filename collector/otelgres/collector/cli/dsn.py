"""``otelgres dsn``: how to reach the embedded PostgreSQL that is running."""

from pathlib import Path

import click

from otelgres.collector.cli.options import data_option
from otelgres.collector.embedded.cluster import running_dsn


@click.command(short_help="Print the DSN of the running embedded PostgreSQL.")
@data_option
def dsn(data: Path) -> None:
    """Print a DSN that psql and psycopg take: psql "$(otelgres dsn)"."""
    found = running_dsn(data)
    if found is None:
        raise click.ClickException(f"no PostgreSQL is running on {data}: start one with `otelgres up`.")
    click.echo(found)
