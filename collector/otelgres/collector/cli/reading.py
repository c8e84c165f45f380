"""What commands that only read have in common: a transaction that may not write, a file that is whole or not there.

Refuses to know what is read.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql


def read_only_transaction(connection: psycopg.Connection, seconds: float) -> None:
    """Gives the transaction that begins now the reader's rights, if the role has them, and ``seconds`` a statement."""
    connection.execute("SELECT set_config('statement_timeout', %s, true)", [str(int(seconds * 1000))])
    connection.execute("SET LOCAL search_path = otel, compat, public")
    may = connection.execute("""
        SELECT pg_has_role(oid, 'SET') AND NOT rolname = current_user FROM pg_roles WHERE rolname = 'otelgres_reader'
    """).fetchone()
    if may is not None and may[0]:
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier("otelgres_reader")))


def format_of(said: str | None, file: Path | None, formats: Sequence[str]) -> str:
    """The format that was asked for; else the one that ``file`` is named after; else the first of ``formats``."""
    named = "" if file is None else file.suffix.removeprefix(".").lower()
    return said or (named if named in formats else formats[0])


@contextlib.contextmanager
def atomic_file(path: Path, *, binary: bool = False) -> Iterator[IO[Any]]:
    """``path`` to be written. Complete or not there: a result that was cut off must not be taken for one."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") if binary else part.open("w", encoding="utf-8", newline="") as out:
            yield out
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
