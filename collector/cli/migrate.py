"""``otelgres migrate``: brings a database to the schema of this version."""

import click
import psycopg

from collector.settings import load
from sql.migrate import migrate as bring_up_to_date


@click.command()
@click.option("--dsn", help="The database. Better given as OTELGRES_DSN: `ps` shows flags to everyone.")
def migrate(dsn: str | None) -> None:
    """Apply what is missing; nothing is dropped."""
    target = load({"dsn": dsn}).dsn
    if not target:
        raise click.UsageError("Say which database: --dsn or the variable OTELGRES_DSN.")
    try:
        applied = bring_up_to_date(target, lambda step: click.echo(f"applying {step}"))
    except psycopg.Error as error:
        raise click.ClickException(f"the database could not be migrated: {str(error).strip()}") from error
    click.echo(f"{len(applied)} migrations applied" if applied else "up to date")
