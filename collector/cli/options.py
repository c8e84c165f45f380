"""Options that several commands share, and what they print alike. Refuses to know what a command does."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson

from collector.embedded.cluster import default_data_dir

_Function = TypeVar("_Function", bound=Callable[..., Any])


def data_option(function: _Function) -> _Function:
    """``--data DIR``: where the embedded PostgreSQL keeps its data."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
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
    """``--workers N``: processes on the same ports."""
    return click.option("--workers", type=click.IntRange(1, 64), help="Receiver processes on the same ports [1].")(
        function
    )


def json_option(function: _Function) -> _Function:
    """``--json``: one line for machines instead of the live view."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Once ready, print one line of JSON (grpc, http, dsn, pid), nothing else.",
    )(function)


def ready_line(grpc: str, http: str, dsn: str, pid: int) -> str:
    """What ``--json`` prints."""
    return orjson.dumps({"grpc": grpc, "http": http, "dsn": dsn, "pid": pid}).decode()


def log_to_stderr() -> None:
    """Warnings of the receiver go to stderr, so that stdout stays what it is documented to be."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
