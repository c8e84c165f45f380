"""``otelgres dsn``: prints the DSN of the running embedded PostgreSQL."""

from pathlib import Path

import click

from otelgres.collector.cli.options import data_option
from otelgres.collector.embedded.cluster import running_dsn
from otelgres.collector.embedded.logins import Login


@click.command(short_help="Print the DSN of the running embedded PostgreSQL.")
@data_option
@click.option(
    "--kind",
    type=click.Choice([Login.READER.value, Login.WRITER.value, Login.OWNER.value]),
    default=Login.READER.value,
    show_default=True,
    help="Rights of its login: docs/security.md.",
)
def dsn(data: Path, kind: str) -> None:
    """Print a DSN for psql and psycopg: psql "$(otelgres dsn)"."""
    found = running_dsn(data, Login(kind))
    if found is None:
        raise click.ClickException(f"no PostgreSQL is running on {data}: start one with `otelgres up`.")
    click.echo(found)
