"""``otelgres migrate``: brings a database to the schema of this version."""

from collections.abc import Callable
from functools import partial

import click
import psycopg

from collector.progress import progress
from collector.settings import load
from sql.migrate import migrate as bring_up_to_date
from sql.migrate import pending


@click.command()
@click.option("--dsn", help="The database. Better given as OTELGRES_DSN: `ps` shows flags to everyone.")
def migrate(dsn: str | None) -> None:
    """Apply what is missing; nothing is dropped."""
    target = load({"dsn": dsn}).dsn
    if not target:
        raise click.UsageError("Say which database: --dsn or the variable OTELGRES_DSN.")
    try:
        with psycopg.connect(target, connect_timeout=5) as connection:
            steps = len(pending(connection))
        with progress("steps", steps) as advance:
            applied = bring_up_to_date(target, partial(_tell, advance))
    except psycopg.Error as error:
        raise click.ClickException(f"the database could not be migrated: {str(error).strip()}") from error
    click.echo(f"{len(applied)} migrations applied" if applied else "up to date")


def _tell(advance: Callable[[], None], step: str) -> None:
    click.echo(f"applying {step}")
    advance()
