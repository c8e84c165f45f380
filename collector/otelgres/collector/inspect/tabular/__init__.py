"""Rows of a query as a table, CSV, JSON or Parquet. Refuses to know where the rows come from.

A writer is a context manager made with the columns; its ``write`` takes rows as they come, so that nothing has to fit
into memory (only the table, which has to know its widths, stops after some hundred rows and says so).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, Self


class Column(NamedTuple):
    """A column's name, and its type by PostgreSQL's name (``timestamptz``, ``text[]``; unknown ones read as text)."""

    name: str
    type: str


class Writer(Protocol):
    """Takes rows until it is closed."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def write(self, row: Sequence[Any]) -> None:
        """One row, as psycopg gives it."""
