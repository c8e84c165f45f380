"""``otelgres bench``: benchmarks of otelgres on this machine, in temporary databases."""

import signal
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson
import psycopg

from otelgres.collector.cli.progress import progress
from otelgres.collector.inspect.console import TerminalConsole
from otelgres.collector.security.dsn import InvalidDsn, check_dsn, hide_from_command_line
from otelgres.collector.tools.bench import application, deduplication, drain, ingest, latency, tables, tailing
from otelgres.collector.tools.bench.processes import ProcessError
from otelgres.collector.tools.bench.server import server
from otelgres.exporters.batch import Signal

_Function = TypeVar("_Function", bound=Callable[..., Any])
_SIGNALS = [signal.value for signal in Signal]


@click.group(short_help="Run benchmarks on this machine.")
def bench() -> None:
    """Run benchmarks. All data is temporary and removed at the end."""
    # Exits like Ctrl-C, so that processes and databases of the benchmark are removed.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def _on_this_server(context: click.Context, parameter: click.Parameter, dsn: str | None) -> str | None:
    if dsn is not None:
        try:
            check_dsn(dsn)
        except InvalidDsn as error:
            raise click.UsageError(f"--dsn cannot be used: {error}.") from None
        hide_from_command_line(dsn)
    return dsn


def _where_options(function: _Function) -> _Function:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--folder",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="Folder for temporary data, on the disk to be measured.",
        ),
        click.option(
            "--dsn", callback=_on_this_server, help="Use this server; temporary databases are created and dropped."
        ),
    ):
        function = option(function)
    return function


@bench.command("ingest", short_help="gRPC requests to committed rows, compared with COPY.")
@click.option(
    "--signal", "signals", multiple=True, type=click.Choice(_SIGNALS), default=_SIGNALS, show_default="all three"
)
@click.option("--items", type=click.IntRange(1), default=200_000, show_default=True, help="Items per round.")
@click.option("--seconds", type=click.FloatRange(0.1), default=30.0, show_default=True, help="Limit per round.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Rounds of each method.")
@click.option("--connections", type=click.IntRange(1), default=4, show_default=True)
@click.option(
    "--in-flight", type=click.IntRange(1), default=6, show_default=True, help="Calls in flight per connection."
)
@_where_options
def _ingest(
    signals: tuple[str, ...],
    items: int,
    seconds: float,
    rounds: int,
    connections: int,
    in_flight: int,
    dsn: str | None,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Throughput from gRPC requests to committed rows, compared with COPY of the same rows."""
    load = ingest.Load(items=items, seconds=seconds, rounds=rounds, connections=connections, in_flight=in_flight)
    with (
        _errors_as_messages(),
        server(dsn, folder) as target,
        progress("items", 2 * items * rounds * len(signals)) as advance,
    ):
        results = [
            ingest.measure(target, signal, load, partial(_print_round, signal, advance))
            for signal in map(Signal, signals)
        ]
        version = target.version
    if as_json:
        _print_json({"postgres": version, "load": asdict(load), "signals": tables.ingest_values(results)})
    else:
        _print_table(tables.ingest_table(results))


@bench.command("latency", short_help="From a logger.info call until its row is visible in SQL.")
@click.option(
    "--rate", "rates", multiple=True, type=click.FloatRange(0.1), help="Records or flows per second [1000; flows: 5]."
)
@click.option("--seconds", type=click.FloatRange(0.1), default=10.0, show_default=True)
@click.option("--flows", is_flag=True, help="Measure flows of four checkpoints instead of log records.")
@_where_options
def _latency(
    rates: tuple[float, ...], seconds: float, flows: bool, dsn: str | None, folder: Path | None, as_json: bool
) -> None:
    """Latency from a logger.info call until its row is visible in SQL.

    With --flows: from the first of four checkpoints (otel_setup.integration) until the last is visible.
    """
    what: latency.What = "flows" if flows else "records"
    rates = rates or ((5.0,) if flows else (1000.0,))
    with _errors_as_messages(), server(dsn, folder) as target, progress("seconds", seconds * len(rates)) as advance:
        results = {rate: latency.measure(target, what, rate, seconds, advance) for rate in rates}
    _print_latency(results, as_json)


@bench.command("tail", short_help="From acknowledgement to output of `otelgres tail`.")
@click.option(
    "--rate", "rates", multiple=True, type=click.FloatRange(0.1), default=[50.0], help="Records per second [50]."
)
@click.option("--seconds", type=click.FloatRange(0.1), default=20.0, show_default=True)
@_where_options
def _tail(rates: tuple[float, ...], seconds: float, dsn: str | None, folder: Path | None, as_json: bool) -> None:
    """Latency from a record's acknowledgement until `otelgres tail` prints it."""
    with _errors_as_messages(), server(dsn, folder) as target, progress("seconds", seconds * len(rates)) as advance:
        results = {rate: tailing.measure(target, rate, seconds, advance) for rate in rates}
    _print_latency(results, as_json)


@bench.command("application")
@click.option("--calls", type=click.IntRange(1), default=10_000, show_default=True, help="Calls of each kind.")
@_where_options
def _application(calls: int, dsn: str | None, folder: Path | None, as_json: bool) -> None:
    """CPU time of one telemetry call in the application."""
    with _errors_as_messages(), server(dsn, folder) as target, progress("situations", 4) as advance:
        situations = application.measure(target, calls, advance)
    if as_json:
        _print_json(situations)
    else:
        _print_table(tables.application_table(situations))


@bench.command("replay", short_help="Speed of spool replay.")
@click.option("--signal", type=click.Choice(_SIGNALS), default=Signal.TRACES.value, show_default=True)
@click.option("--items", type=click.IntRange(1), default=100_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@_where_options
def _drain(signal: str, items: int, rounds: int, dsn: str | None, folder: Path | None, as_json: bool) -> None:
    """Speed of spool replay, compared with storing the same requests directly."""
    with _errors_as_messages(), server(dsn, folder) as target, progress("items", 2 * items * rounds) as advance:
        found = drain.measure(target, Signal(signal), items, rounds, _print_replay, advance)
    if as_json:
        _print_json([asdict(one) | {"ratio": one.ratio} for one in found])
    else:
        click.echo(f"ratio, median of {rounds}: {statistics.median(one.ratio for one in found):.2f}")


def _print_replay(one: drain.ReplayedRates) -> None:
    click.echo(f"stored {one.ingest:,.0f} per second, replayed {one.replay:,.0f}: ratio {one.ratio:.2f}", err=True)


@bench.command("deduplication", short_help="Cost of deduplication.")
@click.option("--signal", type=click.Choice(_SIGNALS), default=Signal.TRACES.value, show_default=True)
@click.option("--items", type=click.IntRange(1), default=100_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@_where_options
def _guards(signal: str, items: int, rounds: int, dsn: str | None, folder: Path | None, as_json: bool) -> None:
    """Cost of deduplication, in microseconds per item."""
    with _errors_as_messages(), server(dsn, folder) as target, progress("rounds", rounds) as advance:
        found = deduplication.measure(target, Signal(signal), items, rounds, partial(_print_deduplication, advance))
    if as_json:
        _print_json(asdict(found))
    else:
        click.echo(
            f"COPY {found.copy:.1f} µs per item, of which {found.key:.1f} for the key; digests {found.digests:.2f}"
        )


@contextmanager
def _errors_as_messages() -> Iterator[None]:
    """Reports the known errors of a benchmark as one line."""
    try:
        yield
    except (ProcessError, ingest.NotStoredError) as error:
        raise click.ClickException(str(error)) from error
    except psycopg.Error as error:
        raise click.ClickException(f"query failed: {str(error).strip()}") from error


def _print_deduplication(advance: Callable[[], None], line: str) -> None:
    click.echo(line, err=True)
    advance()


def _print_round(signal: Signal, advance: Callable[[float], None], one: ingest.Round) -> None:
    advance(one.items)
    click.echo(f"{signal} by {one.way}: {one.items:,} in {one.seconds:.2f} s, {one.rate:,.0f} per second", err=True)


def _print_latency(results: Mapping[float, latency.Latency], as_json: bool) -> None:
    if as_json:
        _print_json([{"rate": rate, **asdict(result)} for rate, result in results.items()])
    else:
        _print_table(tables.latency_table(results))


def _print_json(values: Any) -> None:
    click.echo(orjson.dumps(values, option=orjson.OPT_INDENT_2).decode())


def _print_table(table: Any) -> None:
    # A pipe has no width; cells must not be cut there.
    console = TerminalConsole() if sys.stdout.isatty() else TerminalConsole(width=200)
    console.print(table)
