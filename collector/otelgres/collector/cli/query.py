"""``otelgres query``: one read of the database, printed or saved. Refuses to write, whatever the SQL says."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import click
import psycopg
from psycopg.pq import DiagnosticField, ExecStatus

from otelgres.collector.cli.options import data_option
from otelgres.collector.cli.reading import atomic_file, format_of, read_only_transaction
from otelgres.collector.embedded.cluster import running_dsn
from otelgres.collector.inspect.tabular import Column, Writer
from otelgres.collector.inspect.tabular.text import CsvWriter, JsonWriter, TableWriter
from otelgres.collector.service.settings import load

FORMATS = ("table", "csv", "json", "parquet")
_TEXT: dict[str, Callable[[Sequence[Column], IO[str]], Writer]] = {
    "table": TableWriter,
    "csv": CsvWriter,
    "json": JsonWriter,
}


@click.command(short_help="Run one SELECT and print what it finds.")
@click.argument("text", metavar="SQL")
@click.option("--dsn", help="The database [OTELGRES_DSN, else the embedded one that is running].")
@data_option
@click.option("--format", "said", type=click.Choice(FORMATS), help="[what FILE ends in, else table]")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@click.option(
    "--timeout", "seconds", type=click.FloatRange(0.1, 86400), default=30, show_default=True, help="Longest run."
)
def query(text: str, dsn: str | None, data: Path, said: str | None, output: Path | None, seconds: float) -> None:
    """Run one SELECT ("-" reads it from stdin) and print what it finds.

    Schemas otel and compat need not be named. The transaction is read-only and has the reader's rights if the role has
    been given them.
    """
    form = format_of(said, output, FORMATS)
    target = load({"dsn": dsn}).dsn or running_dsn(data)
    if target is None:
        raise click.ClickException(f"no PostgreSQL is running on {data}: start one with `otelgres up`, or give --dsn.")
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is no text: name a file with -o.")
    statement = sys.stdin.read() if text == "-" else text
    try:
        with psycopg.connect(target, connect_timeout=5, application_name="otelgres query") as connection:
            connection.read_only = True
            read_only_transaction(connection, seconds)
            with _opened(output, form) as out:
                _copy(connection, statement, form, out)
    except psycopg.errors.QueryCanceled:
        raise click.ClickException(
            f"stopped after {seconds:g} s: ask for less time, or allow more --seconds."
        ) from None
    except psycopg.Error as error:
        raise click.ClickException(str(error).strip()) from error
    except BrokenPipeError:
        # `… | head` has seen enough.
        sys.stdout = None


def _copy(connection: psycopg.Connection, statement: str, form: str, out: IO[Any]) -> None:
    columns = _columns(connection, statement)
    with connection.cursor() as cursor, _writer(form, columns, out) as writer:
        for row in cursor.stream(cast("Any", statement)):
            writer.write(row)


def _columns(connection: psycopg.Connection, statement: str) -> list[Column]:
    """What the statement returns, without running it. One statement only: `COMMIT; DROP …` is an error here."""
    text = statement.encode(connection.info.encoding)
    # Unnamed, as the statement itself is when it is run, by the same protocol.
    for answer in (connection.pgconn.prepare(b"", text), connection.pgconn.describe_prepared(b"")):
        if answer.status != ExecStatus.COMMAND_OK:
            raise psycopg.errors.lookup((answer.error_field(DiagnosticField.SQLSTATE) or b"").decode())(
                answer.get_error_message(connection.info.encoding)
            )
    if not answer.nfields:
        raise click.ClickException("that statement returns no rows.")
    return [
        Column((answer.fname(number) or b"").decode(), _type_name(connection, answer.ftype(number)))
        for number in range(answer.nfields)
    ]


def _type_name(connection: psycopg.Connection, oid: int) -> str:
    info = connection.adapters.types.get(oid)
    if info is None:
        return "text"
    return f"{info.name}[]" if info.array_oid == oid else info.name


def _writer(form: str, columns: Sequence[Column], out: IO[Any]) -> Writer:
    if form != "parquet":
        return _TEXT[form](columns, out)
    from otelgres.collector.inspect.tabular.parquet import ParquetWriter

    return ParquetWriter(columns, cast("BinaryIO", out))


@contextlib.contextmanager
def _opened(output: Path | None, form: str) -> Iterator[IO[Any]]:
    if output is None:
        yield sys.stdout.buffer if form == "parquet" else sys.stdout
        return
    with atomic_file(output, binary=form == "parquet") as out:
        yield out
