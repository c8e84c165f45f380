"""``otelgres query``: runs one statement in a read-only transaction and prints or saves its rows."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import click
import psycopg
from psycopg.pq import DiagnosticField, ExecStatus

from otelgres.collector.cli.options import NamedPath, data_option
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


@click.command(short_help="Run one SELECT and print its rows.")
@click.argument("text", metavar="SQL")
@click.option("--dsn", help="Database DSN [OTELGRES_DSN, else the running embedded one].")
@data_option
@click.option("--format", "chosen", type=click.Choice(FORMATS), help="[suffix of FILE, else table]")
@click.option("-o", "--output", type=NamedPath(dir_okay=False, path_type=Path), help="Write to this file.")
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(0.1, 86400),
    default=30,
    show_default=True,
    help="Statement timeout in seconds.",
)
def query(text: str, dsn: str | None, data: Path, chosen: str | None, output: Path | None, seconds: float) -> None:
    """Run one SELECT ("-" reads it from stdin) and print its rows.

    The search path includes the schemas otel and compat. The transaction is read-only and uses the role
    otelgres_reader if it may.
    """
    form = format_of(chosen, output, FORMATS)
    target = load({"dsn": dsn}).dsn or running_dsn(data)
    if target is None:
        raise click.ClickException(f"no PostgreSQL is running on {data}: start one with `otelgres up`, or give --dsn.")
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is binary: name a file with -o.")
    statement = sys.stdin.read() if text == "-" else text
    try:
        with psycopg.connect(target, connect_timeout=5, application_name="otelgres query") as connection:
            connection.read_only = True
            read_only_transaction(connection, seconds)
            with _opened(output, form) as out:
                _copy(connection, statement, form, out)
    except psycopg.errors.QueryCanceled:
        raise click.ClickException(f"timed out after {seconds:g} s: narrow the query or raise --timeout.") from None
    except psycopg.Error as error:
        raise click.ClickException(str(error).strip()) from error
    except BrokenPipeError:
        # The reader closed the pipe, as `… | head` does.
        sys.stdout = None


def _copy(connection: psycopg.Connection, statement: str, form: str, out: IO[Any]) -> None:
    columns = _columns(connection, statement)
    with connection.cursor() as cursor, _writer(form, columns, out) as writer:
        for row in cursor.stream(cast("Any", statement)):
            writer.write(row)


def _columns(connection: psycopg.Connection, statement: str) -> list[Column]:
    """The columns of the statement, without running it. Several statements (`COMMIT; DROP …`) are an error."""
    text = statement.encode(connection.info.encoding)
    # Extended protocol with an unnamed statement, as when it is run.
    for answer in (connection.pgconn.prepare(b"", text), connection.pgconn.describe_prepared(b"")):
        if answer.status != ExecStatus.COMMAND_OK:
            raise psycopg.errors.lookup((answer.error_field(DiagnosticField.SQLSTATE) or b"").decode())(
                answer.get_error_message(connection.info.encoding)
            )
    if not answer.nfields:
        raise click.ClickException("the statement returns no rows.")
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
