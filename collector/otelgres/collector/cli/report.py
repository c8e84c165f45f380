"""``otelgres report``: reports on errors, compliance, runs or days, as text, HTML, CSV or JSON."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import psycopg

from otelgres.collector.cli.options import data_option, moment
from otelgres.collector.cli.reading import (
    database_to_read,
    format_of,
    out_option,
    output_file,
    query_failed,
    read_only_transaction,
)
from otelgres.collector.inspect.report.sections import KINDS, read
from otelgres.collector.inspect.report.write import FORMATS, write


@click.command(short_help="Report on errors, compliance, runs or days.")
@click.argument("what", type=click.Choice(list(KINDS)))
@click.option("--format", "chosen", type=click.Choice(FORMATS), help="[suffix of FILE, else text]")
@click.option("--section", help="Only this section; for CSV the one to write.")
@click.option(
    "--since",
    metavar="TIME",
    callback=moment,
    help="From this day or time (UTC), or how long ago (30d) [7 to 365 days before --until].",
)
@click.option("--until", metavar="TIME", callback=moment, help="Until this time, in the same formats [now].")
@out_option
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(0.1, 86400),
    default=120,
    show_default=True,
    help="Statement timeout in seconds.",
)
@click.option("--dsn", help="Database DSN [OTELGRES_DSN, else the running embedded one].")
@data_option
def report(
    what: str,
    chosen: str | None,
    section: str | None,
    since: datetime | None,
    until: datetime | None,
    out: Path | None,
    seconds: float,
    dsn: str | None,
    data: Path,
) -> None:
    """Report on a period: errors (by type, phase, terminal), compliance (every run, failures, gaps, losses, retention),
    runs (by month, phase and terminal), daily (operations by day).

    HTML is one self-contained page. CSV is one section: errors, runs, months or days unless --section names another.
    The transaction is read-only and uses the role otelgres_reader if it may.
    """
    names = [plan.name for plan in KINDS[what].plans]
    if section is not None and section not in names:
        raise click.UsageError(f"{what} has no section {section!r}; its sections are {', '.join(names)}.")
    form = format_of(chosen, out, FORMATS)
    end = until or datetime.now(UTC)
    if since is not None and since >= end:
        raise click.UsageError("--since must be before --until.")
    target = database_to_read(dsn, data)
    try:
        with psycopg.connect(target, connect_timeout=5, application_name="otelgres report") as connection:
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            read_only_transaction(connection, seconds)
            connection.execute("SET LOCAL timezone = 'UTC'")
            found = read(connection, what, since, end, section)
    except psycopg.errors.QueryCanceled:
        raise click.ClickException(
            f"timed out after {seconds:g} s: choose a shorter period or raise --timeout."
        ) from None
    except psycopg.Error as error:
        raise query_failed(error) from error
    try:
        if out is None:
            write(found, form, sys.stdout)
        else:
            with output_file(out) as file:
                write(found, form, file)
    except BrokenPipeError:
        # The reader closed the pipe, as `… | head` does.
        sys.stdout = None
