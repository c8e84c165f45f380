"""``otelgres tail``: prints log records, spans or finished flows as they are committed."""

import datetime
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Final, LiteralString

import click
import psycopg

from otelgres.collector.cli.options import data_option, length_of_time
from otelgres.collector.cli.reading import database_to_read, query_failed
from otelgres.collector.inspect.console import TerminalConsole
from otelgres.collector.inspect.tabular.plain import as_json as json_of
from otelgres.collector.inspect.tail.follow import TailFollower
from otelgres.collector.inspect.tail.lines import line

_QUERIES: Final[dict[str, LiteralString]] = {"logs": "tail_logs", "spans": "tail_spans", "flows": "tail_flows"}
_LEVELS: Final = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17, "fatal": 21}


@click.command(short_help="Print telemetry as it is stored.")
@click.argument("what", type=click.Choice(list(_QUERIES)), default="logs")
@click.option("--service", help="Only this service.")
@click.option(
    "--level", type=click.Choice(list(_LEVELS)), help="Minimum severity; for spans and flows, error: only failed ones."
)
@click.option(
    "--grep", "contains", metavar="TEXT", help="Only with this text in body, name or status; case-insensitive."
)
@click.option("--flow", type=click.UUID, help="Only this flow.")
@click.option("--since", metavar="TIME", help="Start with data received within this time, such as 30s, 10m or 2h.")
@click.option("-n", "--count", type=click.IntRange(1), help="Exit after this many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option("--dsn", help="Database DSN [OTELGRES_DSN, else the running embedded one].")
@data_option
def tail(
    what: str,
    service: str | None,
    level: str | None,
    contains: str | None,
    flow: uuid.UUID | None,
    since: str | None,
    count: int | None,
    as_json: bool,
    dsn: str | None,
    data: Path,
) -> None:
    """Print log records, spans or flows (when they end) as they are stored, until Ctrl-C.

    Reconnects after a lost connection and continues without gaps or repetitions.
    """
    back = _time(since)
    filters: dict[str, Any] = {"service": service, "contains": contains, "flow": flow}
    if what == "logs":
        filters["least_severity"] = _LEVELS[level] if level else None
    else:
        filters["errors_only"] = _LEVELS.get(level or "", 0) >= _LEVELS["error"]
    target = database_to_read(dsn, data)
    console = TerminalConsole(highlight=False)
    follower = TailFollower(target, _QUERIES[what], filters, _lost, time.sleep)
    if console.is_terminal:
        click.echo(f"otelgres: printing {what} as they are stored, until Ctrl-C", err=True)
    try:
        for number, row in enumerate(follower.rows(back), 1):
            if as_json:
                print(json_of(row), flush=True)
            elif console.is_terminal:
                console.print(line(what, row), soft_wrap=True)
            else:
                print(line(what, row).plain, flush=True)
            if number == count:
                break
    except psycopg.Error as error:
        raise query_failed(error) from error
    except BrokenPipeError:
        # The reader closed the pipe, as `… | head` does.
        sys.stdout = None
    except KeyboardInterrupt:
        pass


def _lost(reason: str) -> None:
    click.echo(f"otelgres: connection lost ({reason}); reconnecting", err=True)


def _time(text: str | None) -> datetime.timedelta | None:
    found = None if text is None else length_of_time(text)
    if text is not None and found is None:
        raise click.UsageError(f"--since must be a number with s, m, h or d, such as 10m, not {text!r}.")
    return found
