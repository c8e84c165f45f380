"""``otelgres diagnose``: checks every step from sender to stored rows; prints problems and fixes, changes nothing."""

import os
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.text import Text

from otelgres.collector.cli.options import data_option
from otelgres.collector.embedded.cluster import running_dsn
from otelgres.collector.inspect.console import TerminalConsole
from otelgres.collector.inspect.diagnose import Finding, Severity
from otelgres.collector.inspect.diagnose.checks import diagnose as walk
from otelgres.collector.inspect.tabular.plain import as_json as json_of
from otelgres.collector.service.runfile import running
from otelgres.collector.service.settings import ReceiverSettings, load
from otelgres.collector.system.terminal import clean

_WORDS: Final = {
    Severity.FINE: ("ok", "green"),
    Severity.WARNING: ("warning", "yellow"),
    Severity.BROKEN: ("broken", "red"),
}


@click.command(short_help="Check every step from sender to stored rows.")
@click.option(
    "--http", metavar="URL", help="OTLP/HTTP, for example https://telemetry.example:4318 [the receiver on --data]."
)
@click.option("--grpc", metavar="HOST:PORT", help="OTLP/gRPC; https://HOST:PORT for TLS [the receiver on --data].")
@click.option("--redis", metavar="URL", help="A Redis server that flows pass through [REDIS_URL].")
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(0.1, 60),
    default=5,
    show_default=True,
    help="Timeout of each check, in seconds.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option("--dsn", help="Database DSN [OTELGRES_DSN, else the running embedded one].")
@data_option
def diagnose(
    http: str | None,
    grpc: str | None,
    redis: str | None,
    seconds: float,
    as_json: bool,
    dsn: str | None,
    data: Path,
) -> None:
    """Check every step from sender to stored rows. Exit status 0: fine, 1: warning, 2: broken.

    Sends a test span over each protocol (service otelgres.diagnose), with the headers (for example a token) of
    OTEL_EXPORTER_OTLP_HEADERS and the CA certificate of OTEL_EXPORTER_OTLP_CERTIFICATE.
    """
    found = running(data)
    defaults = ReceiverSettings()
    worst = Severity.FINE
    console = TerminalConsole(highlight=False)
    for finding in walk(
        load({"dsn": dsn}).dsn or running_dsn(data),
        http or (found.http if found else f"http://{defaults.http}"),
        grpc or (found.grpc if found else defaults.grpc),
        redis or os.environ.get("REDIS_URL"),
        seconds,
    ):
        worst = max(worst, finding.severity)
        if as_json:
            fields = {"check": finding.check, "severity": finding.severity.name.lower()}
            click.echo(json_of(fields | {"what": finding.what, "fix": finding.fix}))
        else:
            _show(console, finding)
    raise SystemExit(int(worst))


def _show(console: Console, finding: Finding) -> None:
    word, colour = _WORDS[finding.severity]
    line = Text(f"{word:<8}", colour)
    line.append(f"{finding.check:<10} {clean(finding.what)}")
    console.print(line, soft_wrap=True)
    if finding.fix:
        console.print(Text(f"{'':<19}-> {finding.fix}", "dim"), soft_wrap=True)
