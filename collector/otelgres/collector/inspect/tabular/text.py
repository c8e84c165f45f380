"""Rows as a text table, CSV or JSON."""

import csv
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import IO, Any, Final, Self

from rich.table import Table
from rich.text import Text

from otelgres.collector.inspect.console import TerminalConsole
from otelgres.collector.inspect.tabular import Column
from otelgres.collector.inspect.tabular.plain import as_json, as_text
from otelgres.collector.system.terminal import clean, escaped
from otelgres.exporters.plural import counted

MOST_IN_A_TABLE: Final = 500
_NUMBERS: Final = {"int2", "int4", "int8", "float4", "float8", "numeric"}
_PIPE_WIDTH: Final = 10_000
# In some spreadsheets a formula also begins after white space, a quote or a byte order mark.
_FORMULA: Final = re.compile(r"[\s\"'\ufeff\u200b]*+[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)


class TableWriter:
    """A table as wide as the terminal; in a pipe as wide as needed."""

    def __init__(self, columns: Sequence[Column], out: IO[str]) -> None:
        self._console = TerminalConsole(file=out, width=None if out.isatty() else _PIPE_WIDTH)
        self._table = Table(box=None, pad_edge=False, header_style="bold" if out.isatty() else "")
        for column in columns:
            self._table.add_column(Text(clean(column.name)), justify="right" if column.type in _NUMBERS else "left")
        self._rows = 0

    def __enter__(self) -> Self:
        return self

    def write(self, row: Sequence[Any]) -> None:
        """Adds one row; rows beyond MOST_IN_A_TABLE are only counted."""
        self._rows += 1
        if self._rows <= MOST_IN_A_TABLE:
            # Text, because rich would interpret brackets in a string as markup.
            self._table.add_row(*[Text(clean(as_text(value))) for value in row])

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            return
        self._console.print(self._table)
        more = self._rows - MOST_IN_A_TABLE
        rows = f"({counted(self._rows, 'row')})"
        self._console.print(rows if more <= 0 else f"({more} more; use --format csv, json or parquet for all rows)")


class CsvWriter:
    r"""RFC 4180 with a header line; NULL is an empty field.

    CSV is what spreadsheets open: text that looks like a formula is prefixed with ', and control characters are written
    as \u001b. JSON and Parquet have the text as it is.
    """

    def __init__(self, columns: Sequence[Column], out: IO[str]) -> None:
        self._csv = csv.writer(out)
        self._csv.writerow([_harmless(column.name) for column in columns])

    def __enter__(self) -> Self:
        return self

    def write(self, row: Sequence[Any]) -> None:
        """Writes one row."""
        cells = [
            as_text(value) if isinstance(value, int | float | Decimal) else _harmless(as_text(value)) for value in row
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


def _harmless(text: str) -> str:
    """Text in which no spreadsheet finds a formula, and no terminal a sequence. A number in a text stays a number."""
    formula = _FORMULA.match(text) and not _NUMBER.fullmatch(text)
    return f"'{escaped(text)}" if formula else escaped(text)
