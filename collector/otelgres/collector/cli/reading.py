"""For commands that only read: a read-only transaction, the output format, and an output file written atomically."""

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

import click
import psycopg
from psycopg import sql

from otelgres.collector.cli.options import NamedPath
from otelgres.collector.embedded.cluster import running_dsn
from otelgres.collector.embedded.logins import Login
from otelgres.collector.service.settings import load
from otelgres.sql.logins import is_superuser

_Function = TypeVar("_Function", bound=Callable[..., Any])


def database(dsn: str | None, data: Path, login: Login) -> str:
    """The DSN that is given, else the login's of the embedded server on ``data``. ClickException if there is none."""
    target = load({"dsn": dsn}).dsn or running_dsn(data, login)
    if target is None:
        raise click.ClickException(f"no PostgreSQL is running on {data}: start one with `otelgres up`, or give --dsn.")
    return target


def database_to_read(dsn: str | None, data: Path) -> str:
    """The DSN for a command that only reads; a superuser's is used, with a warning on stderr."""
    target = database(dsn, data, Login.READER)
    # A server that is away is reported by the command itself.
    with contextlib.suppress(psycopg.Error), psycopg.connect(target, autocommit=True, connect_timeout=5) as connection:
        if is_superuser(connection):
            click.echo(
                f"otelgres: {connection.info.user} is a superuser of PostgreSQL, and views run code of their owner: "
                "use a login made by `otelgres role create NAME --kind reader`",
                err=True,
            )
    return target


def query_failed(error: psycopg.Error, kind: str = "reader") -> click.ClickException:
    """What a command reports when one of its own queries fails; says what to do if schema or rights are missing.

    ``kind``: of the login that the command needs.
    """
    text, state = str(error).strip(), error.sqlstate or ""
    if state in ("42P01", "3F000", "42883", "42703"):
        text = (
            f"{error.diag.message_primary}: the schema is missing or not of this version: "
            "run `otelgres migrate` with an owner's DSN."
        )
    elif state == "42501":
        text = f"{error.diag.message_primary}: use a login made by `otelgres role create NAME --kind {kind}`."
    return click.ClickException(f"query failed: {text}")


def read_only_transaction(connection: psycopg.Connection, seconds: float) -> None:
    """Starts a read-only transaction with a statement timeout of ``seconds``, as ``otelgres_reader`` if allowed."""
    connection.execute("SELECT set_config('statement_timeout', %s, true)", [str(int(seconds * 1000))])
    connection.execute("SET LOCAL search_path = otel, compat, public")
    may = connection.execute("""
        SELECT pg_has_role(session_user, oid, 'SET') AND NOT rolname = current_user
        FROM pg_roles WHERE rolname = 'otelgres_reader'
    """).fetchone()
    if may is not None and may[0]:
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier("otelgres_reader")))


def out_option(function: _Function) -> _Function:
    """``-o FILE`` or ``--out FILE``: write to a file instead of stdout."""
    return click.option(
        "-o", "--out", type=NamedPath(dir_okay=False, path_type=Path), metavar="FILE", help="Write to this file."
    )(function)


def format_of(chosen: str | None, file: Path | None, formats: Sequence[str]) -> str:
    """Returns ``chosen``, else the format of the suffix of ``file``, else the first of ``formats``, which is text.

    Raises ClickException for a suffix that is not one of a format.
    """
    if chosen is not None or file is None or not file.suffix:
        return chosen or formats[0]
    suffixes = {".txt": formats[0]} | {f".{name}": name for name in formats[1:]}
    if file.suffix.lower() not in suffixes:
        raise click.ClickException(
            f"{file}: the suffix {file.suffix} is not one of {', '.join(suffixes)}: use one of these, or give --format."
        )
    return suffixes[file.suffix.lower()]


@contextlib.contextmanager
def output_file(path: Path, *, binary: bool = False) -> Iterator[IO[Any]]:
    """Opens ``path`` for writing; it appears only when complete, so that a partial result is never left there.

    A device or a FIFO is written directly. Raises ClickException if it cannot be written.
    """
    part: Path | None = None
    try:
        target = path
        if path.is_file() or not path.exists():
            # Of a link, the file is replaced, and the link stays.
            path = path.resolve()
            target = part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        mode = "w" if part is None else "x"
        with target.open(mode + "b") if binary else target.open(mode, encoding="utf-8", newline="") as out:
            yield out
        if part is not None:
            part.replace(path)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        if part is not None:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
