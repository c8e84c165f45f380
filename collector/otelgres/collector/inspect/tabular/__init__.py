"""Rows of a query as a table, CSV, JSON or Parquet.

A writer is a context manager created with the columns; ``write`` takes one row at a time, so that the result need not
fit into memory. A table is limited to some hundred rows, because its column widths depend on all of them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, Self


class Column(NamedTuple):
    """A column's name and PostgreSQL type name (``timestamptz``, ``text[]``; unknown types are handled as text)."""

    name: str
    type: str


class Writer(Protocol):
    """Writes rows until it is closed."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def write(self, row: Sequence[Any]) -> None:
        """Writes one row, as psycopg returns it."""
