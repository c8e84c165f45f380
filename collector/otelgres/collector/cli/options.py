"""Options and output that several commands share."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import orjson

from otelgres.collector.system.data_folder import default_data_dir

_Function = TypeVar("_Function", bound=Callable[..., Any])
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TIMES: Final = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")


class NamedPath(click.Path):
    """A path that must not be empty: an empty one, as of an unset variable, would be the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, as click.Path returns it."""
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


def length_of_time(text: str) -> timedelta | None:
    """Parses ``30s``, ``10m``, ``2h`` or ``7d``; returns None for other text."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()):
        return None
    try:
        return timedelta(seconds=int(number) * _UNITS[unit])
    except (OverflowError, ValueError):
        return None


def moment(_context: click.Context, _option: click.Parameter, value: str | None) -> datetime | None:
    """Option callback: parses a day or time (UTC), or how long ago, to an aware datetime."""
    if value is None:
        return None
    ago = length_of_time(value)
    try:
        if ago is not None:
            return datetime.now(UTC) - ago
        return next(found for form in _TIMES if (found := _read(value, form)) is not None)
    except (OverflowError, StopIteration):
        raise click.BadParameter(
            f"{value!r} is not a day (2026-01-31), a time (2026-01-31T12:00) or a duration (30d)."
        ) from None


def _read(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return None


def data_option(function: _Function) -> _Function:
    """``--data DIR``: the data folder of the embedded PostgreSQL."""
    return click.option(
        "--data",
        type=NamedPath(file_okay=False, path_type=Path),
        envvar="OTELGRES_DATA",
        default=default_data_dir,
        show_default="your data folder",
        help="Folder of the embedded PostgreSQL.",
    )(function)


def address_options(function: _Function) -> _Function:
    """``--grpc`` and ``--http``."""
    function = click.option("--http", metavar="HOST:PORT", help="OTLP/HTTP [127.0.0.1:4318]; port 0: any.")(function)
    return click.option("--grpc", metavar="HOST:PORT", help="OTLP/gRPC [127.0.0.1:4317]; port 0: any.")(function)


def workers_option(function: _Function) -> _Function:
    """``--workers N``: number of receiver processes."""
    return click.option("--workers", type=click.IntRange(1, 64), help="Receiver processes on the same ports [1].")(
        function
    )


def json_option(function: _Function) -> _Function:
    """``--json``: print one JSON line instead of the live view."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print only one line of JSON (grpc, http, dsn, pid) when ready.",
    )(function)


def ready_line(grpc: str, http: str, dsn: str, pid: int) -> str:
    """The line that ``--json`` prints."""
    return orjson.dumps({"grpc": grpc, "http": http, "dsn": dsn, "pid": pid}).decode()
