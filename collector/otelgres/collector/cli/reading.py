"""For commands that only read: a read-only transaction, the output format, and an output file written atomically."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql


def read_only_transaction(connection: psycopg.Connection, seconds: float) -> None:
    """Starts a read-only transaction with a statement timeout of ``seconds``, as ``otelgres_reader`` if allowed."""
    connection.execute("SELECT set_config('statement_timeout', %s, true)", [str(int(seconds * 1000))])
    connection.execute("SET LOCAL search_path = otel, compat, public")
    may = connection.execute("""
        SELECT pg_has_role(oid, 'SET') AND NOT rolname = current_user FROM pg_roles WHERE rolname = 'otelgres_reader'
    """).fetchone()
    if may is not None and may[0]:
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier("otelgres_reader")))


def format_of(chosen: str | None, file: Path | None, formats: Sequence[str]) -> str:
    """Returns ``chosen``, else the format of the suffix of ``file``, else the first of ``formats``."""
    named = "" if file is None else file.suffix.removeprefix(".").lower()
    return chosen or (named if named in formats else formats[0])


@contextlib.contextmanager
def atomic_file(path: Path, *, binary: bool = False) -> Iterator[IO[Any]]:
    """Opens ``path`` for writing; it appears only when complete, so that a partial result is never left there."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") if binary else part.open("w", encoding="utf-8", newline="") as out:
            yield out
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
