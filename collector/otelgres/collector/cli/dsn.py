"""``otelgres dsn``: prints the DSN of the running embedded PostgreSQL."""

from pathlib import Path

import click

from otelgres.collector.cli.options import data_option
from otelgres.collector.embedded.cluster import running_dsn


@click.command(short_help="Print the DSN of the running embedded PostgreSQL.")
@data_option
def dsn(data: Path) -> None:
    """Print a DSN for psql and psycopg: psql "$(otelgres dsn)"."""
    found = running_dsn(data)
    if found is None:
        raise click.ClickException(f"no PostgreSQL is running on {data}: start one with `otelgres up`.")
    click.echo(found)
