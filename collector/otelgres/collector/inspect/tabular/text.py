"""Rows as a text table, CSV or JSON."""

import csv
from collections.abc import Sequence
from decimal import Decimal
from typing import IO, Any, Final, Self

from rich.console import Console
from rich.table import Table
from rich.text import Text

from otelgres.collector.inspect.tabular import Column
from otelgres.collector.inspect.tabular.plain import as_json, as_text
from otelgres.exporters.plural import counted

MOST_IN_A_TABLE: Final = 500
_NUMBERS: Final = {"int2", "int4", "int8", "float4", "float8", "numeric"}
_PIPE_WIDTH: Final = 10_000


class TableWriter:
    """A table as wide as the terminal; in a pipe as wide as needed."""

    def __init__(self, columns: Sequence[Column], out: IO[str]) -> None:
        self._console = Console(file=out, width=None if out.isatty() else _PIPE_WIDTH)
        self._table = Table(box=None, pad_edge=False, header_style="bold" if out.isatty() else "")
        for column in columns:
            self._table.add_column(Text(column.name), justify="right" if column.type in _NUMBERS else "left")
        self._rows = 0

    def __enter__(self) -> Self:
        return self

    def write(self, row: Sequence[Any]) -> None:
        """Adds one row; rows beyond MOST_IN_A_TABLE are only counted."""
        self._rows += 1
        if self._rows <= MOST_IN_A_TABLE:
            # Text, because rich would interpret brackets in a string as markup.
            self._table.add_row(*[Text(_printable(as_text(value))) for value in row])

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            return
        self._console.print(self._table)
        more = self._rows - MOST_IN_A_TABLE
        rows = f"({counted(self._rows, 'row')})"
        self._console.print(rows if more <= 0 else f"({more} more; use --format csv, json or parquet for all rows)")


class CsvWriter:
    """RFC 4180 with a header line; NULL is an empty field.

    ``guarded`` is for files opened in a spreadsheet: text that looks like a formula is prefixed with '.
    """

    def __init__(self, columns: Sequence[Column], out: IO[str], *, guarded: bool = False) -> None:
        self._csv = csv.writer(out)
        self._guarded = guarded
        self._csv.writerow([column.name for column in columns])

    def __enter__(self) -> Self:
        return self

    def write(self, row: Sequence[Any]) -> None:
        """Writes one row."""
        cells = [as_text(value) for value in row]
        if self._guarded:
            cells = [
                cell if isinstance(value, int | float | Decimal) else _no_formula(cell)
                for value, cell in zip(row, cells, strict=True)
            ]
        self._csv.writerow(cells)

    def __exit__(self, *error: object) -> None:
        return


class JsonWriter:
    """An array of objects, one per line."""

    def __init__(self, columns: Sequence[Column], out: IO[str]) -> None:
        self._names = [column.name for column in columns]
        self._out = out
        self._first = True
        out.write("[")

    def __enter__(self) -> Self:
        return self

    def write(self, row: Sequence[Any]) -> None:
        """Writes one row."""
        self._out.write("\n" if self._first else ",\n")
        self._first = False
        self._out.write(as_json(dict(zip(self._names, row, strict=True))))

    def __exit__(self, *error: object) -> None:
        # After an error the array stays open, so that a partial result is not valid JSON.
        if error[0] is None:
            self._out.write("\n]\n")


def _no_formula(text: str) -> str:
    """Text that no spreadsheet evaluates: formulas start with these, in some spreadsheets after a tab or newline."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def _printable(text: str) -> str:
    """Text without control characters, which a terminal would interpret."""
    return "".join(one if one.isprintable() else " " for one in text)
