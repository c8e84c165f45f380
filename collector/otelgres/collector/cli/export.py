"""``otelgres export training``: writes recorded operations as a training set."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
import psycopg
from psycopg.rows import dict_row

from otelgres.collector.cli.options import NamedPath, data_option
from otelgres.collector.cli.progress import over
from otelgres.collector.cli.reading import database_to_read, query_failed
from otelgres.collector.inspect.tabular import Column
from otelgres.collector.inspect.training.split import write
from otelgres.exporters.plural import counted
from otelgres.sql.queries import query

_COLUMNS: Final = (
    Column("id", "int8"),
    Column("timestamp", "timestamptz"),
    Column("session_id", "text"),
    Column("log_type", "text"),
    Column("service_name", "text"),
    Column("training_labels", "jsonb"),
    Column("document", "jsonb"),
)


@click.group()
def export() -> None:
    """Export telemetry as files for other programs."""


@export.command(short_help="Export operations as train and validation files.")
@click.option("-o", "--out", type=NamedPath(file_okay=False, path_type=Path), required=True, help="Output folder.")
@click.option("--format", "form", type=click.Choice(["jsonl", "parquet"]), default="jsonl", show_default=True)
@click.option(
    "--validation",
    type=click.FloatRange(0, 1),
    default=0.2,
    show_default=True,
    help="Share of sessions for validation.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random split.")
@click.option("--since", type=click.DateTime(), help="From this time (UTC) [30 days ago].")
@click.option("--until", type=click.DateTime(), help="Before this time (UTC) [now].")
@click.option("--dsn", help="Database DSN [OTELGRES_DSN, else the running embedded one].")
@data_option
def training(
    out: Path,
    form: str,
    validation: float,
    seed: int,
    since: datetime | None,
    until: datetime | None,
    dsn: str | None,
    data: Path,
) -> None:
    """Export operations as train and validation files with a manifest.json.

    All operations of a session are in the same file. The same seed gives the same split.
    """
    target = database_to_read(dsn, data)
    now = datetime.now(UTC)
    times = {
        "since": since.replace(tzinfo=UTC) if since else now - timedelta(days=30),
        "until": until.replace(tzinfo=UTC) if until else now,
    }
    try:
        with psycopg.connect(target, connect_timeout=5, application_name="otelgres export") as connection:
            connection.read_only = True
            manifest = write(over(_rows(connection, times), "documents"), _COLUMNS, out, form, seed, validation)
    except psycopg.Error as error:
        raise query_failed(error) from error
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written: {error.strerror}") from error
    for part, counts in manifest["parts"].items():
        click.echo(
            f"{part}: {counted(counts['documents'], 'document')} of {counted(counts['sessions'], 'session')} "
            f"in {out / counts['file']}"
        )


def _rows(connection: psycopg.Connection, times: dict[str, datetime]) -> Iterator[dict[str, Any]]:
    # A server-side cursor: the result may be larger than memory.
    with connection.cursor("training", row_factory=dict_row) as cursor:
        cursor.itersize = 1000
        cursor.execute(query("training_documents"), times)
        yield from cursor
