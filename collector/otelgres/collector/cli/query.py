"""``otelgres query``: runs one statement in a read-only transaction and prints or saves its rows."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import click
import psycopg
from psycopg.pq import DiagnosticField, ExecStatus

from otelgres.collector.cli.options import data_option
from otelgres.collector.cli.reading import database_to_read, format_of, out_option, output_file, read_only_transaction
from otelgres.collector.inspect.tabular import Column, Writer
from otelgres.collector.inspect.tabular.text import CsvWriter, JsonWriter, TableWriter

FORMATS = ("table", "csv", "json", "parquet")
_ONE = "one statement that reads is accepted, such as SELECT, WITH, VALUES or EXPLAIN"
# The message is in the server's language, and its SQLSTATE is that of every syntax error. Only the number of statements
# makes this function of PostgreSQL report one.
_SEVERAL = b"exec_parse_message"
_CHANGES = ("INSERT", "UPDATE", "DELETE", "MERGE")
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
@out_option
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(0.1, 86400),
    default=30,
    show_default=True,
    help="Statement timeout in seconds.",
)
def query(text: str, dsn: str | None, data: Path, chosen: str | None, out: Path | None, seconds: float) -> None:
    """Run one SELECT ("-" reads it from stdin) and print its rows.

    The search path includes the schemas otel and compat. The transaction is read-only and uses the role
    otelgres_reader if it may.
    """
    form = format_of(chosen, out, FORMATS)
    target = database_to_read(dsn, data)
    if form == "parquet" and out is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is binary: name a file with -o.")
    statement = sys.stdin.read() if text == "-" else text
    try:
        with psycopg.connect(target, connect_timeout=5, application_name="otelgres query") as connection:
            connection.read_only = True
            read_only_transaction(connection, seconds)
            with _opened(out, form) as file:
                _copy(connection, statement, form, file)
    except psycopg.errors.QueryCanceled:
        raise click.ClickException(f"timed out after {seconds:g} s: narrow the query or raise --timeout.") from None
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise click.ClickException(f"{_ONE} ({error.diag.message_primary}).") from error
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
        if answer.error_field(DiagnosticField.SOURCE_FUNCTION) == _SEVERAL:
            raise click.ClickException(f"{_ONE}, not several.")
        if answer.status != ExecStatus.COMMAND_OK and statement.lstrip().upper().startswith(_CHANGES):
            # Without this, the answer is often that a privilege is missing.
            raise click.ClickException(f"{_ONE}; this one changes rows.")
        if answer.status != ExecStatus.COMMAND_OK:
            raise psycopg.errors.lookup((answer.error_field(DiagnosticField.SQLSTATE) or b"").decode())(
                answer.get_error_message(connection.info.encoding)
            )
    if not answer.nfields:
        raise click.ClickException(f"{_ONE}; this one returns no rows.")
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
    with output_file(output, binary=form == "parquet") as out:
        yield out
