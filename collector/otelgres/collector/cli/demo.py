"""``otelgres demo``: runs a sample system against a receiver and prints what SQL shows of it."""

import shlex
import shutil
import signal
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
import psycopg
from rich.status import Status

from otelgres.collector.cli.options import data_option
from otelgres.collector.cli.reading import query_failed
from otelgres.collector.inspect.console import TerminalConsole
from otelgres.collector.system.data_folder import default_data_dir
from otelgres.collector.tools.demo import report
from otelgres.collector.tools.demo.child import ChildError
from otelgres.collector.tools.demo.comparison import problem
from otelgres.collector.tools.demo.findings import Findings, read_findings
from otelgres.collector.tools.demo.receiving import receiving
from otelgres.collector.tools.demo.system import Endpoints, SentItems, missing_packages, run_system
from otelgres.exporters.extras import installing
from otelgres.exporters.plural import counted


@click.command(short_help="Run three sample services and show the results in SQL.")
@click.option(
    "--seconds", type=click.FloatRange(1, 86400), default=20, show_default=True, help="How long customers place orders."
)
@data_option
@click.option("--endpoint", metavar="URL", help="Send to this OTLP/gRPC endpoint instead; no report.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON only.")
def demo(seconds: float, data: Path, endpoint: str | None, as_json: bool) -> None:
    """Run a sample system of three services for some seconds, then show what SQL has about it.

    Uses the receiver that runs on --data, or starts one for this run. With --endpoint, for example a Collector's,
    telemetry is only sent.
    """
    if missing := missing_packages():
        raise click.ClickException(f"the sample system needs {', '.join(missing)}: {installing('demo')}")
    signal.signal(signal.SIGTERM, _terminated)
    if endpoint is not None:
        _send(endpoint, seconds, as_json)
        return
    out = report.console()
    # With --json stdout has the findings only.
    progress = TerminalConsole(stderr=True) if as_json else out
    try:
        with progress.status("starting PostgreSQL and a receiver") as status:
            sent, findings, was_running = _run(seconds, data, status)
    except ChildError as error:
        raise click.ClickException(str(error)) from error
    except psycopg.Error as error:
        raise query_failed(error) from error
    except KeyboardInterrupt:
        click.echo("stopped; all processes have ended", err=True)
        sys.exit(128 + signal.SIGINT)
    wrong = problem(sent, findings)
    if wrong and not findings.records:
        raise click.ClickException(wrong)
    if as_json:
        click.echo(report.as_json(sent, findings))
    else:
        report.show(out, sent, findings, _psql(data, was_running))
    if wrong:
        raise click.ClickException(wrong)


def _run(seconds: float, data: Path, status: Status) -> tuple[SentItems, Findings, bool]:
    """Returns what was sent, what was found, and whether the receiver had been running before."""
    with receiving(data) as receiver:
        status.update("starting shop, stock and shipping")
        run, since = uuid.uuid4().hex, datetime.now(UTC)

        def progress(left: float, placed: int) -> None:
            status.update(f"running shop, stock and shipping: {counted(placed, 'order')} so far, {left:.0f} s left")

        sent = run_system(Endpoints(f"http://{receiver.grpc}", receiver.http), run, seconds, progress)
        status.update("querying PostgreSQL")
        findings = read_findings(receiver.dsn, run, since, seconds)
        status.update("stopping the processes")
        return sent, findings, receiver.found


def _send(endpoint: str, seconds: float, as_json: bool) -> None:
    """Runs the sample system against ``endpoint`` and prints what it has sent."""
    if not endpoint.startswith(("http://", "https://")):
        raise click.UsageError("--endpoint must be a URL such as http://127.0.0.1:4317.")
    try:
        sent = run_system(Endpoints(endpoint), uuid.uuid4().hex, seconds, lambda left, placed: None)
    except ChildError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    if as_json:
        click.echo(report.sent_as_json(sent))
    else:
        orders = counted(sum(sent.answers.values()), "order")
        click.echo(f"sent {sent.records:,} spans and log records of {orders} to {endpoint}")
    if not sent.flushed:
        raise click.ClickException(f"{endpoint} did not accept everything: check that it is reachable.")


def _psql(data: Path, was_running: bool) -> str:
    """The shell command that opens the database in psql."""
    program = "otelgres" if shutil.which("otelgres") else shlex.quote(sys.argv[0])
    option = "" if data.absolute() == default_data_dir() else f" --data {shlex.quote(str(data))}"
    command = f'psql "$({program} dsn{option})"'
    return command if was_running else f"{command} while `{program} up{option}` runs"


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
