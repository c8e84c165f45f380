"""``otelgres diagnose``: walks the chain and says what is wrong and how to mend it. Refuses to mend."""

import os
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.text import Text

from otelgres.collector.cli.options import data_option
from otelgres.collector.embedded.cluster import running_dsn
from otelgres.collector.inspect.diagnose import Finding, Severity
from otelgres.collector.inspect.diagnose.checks import diagnose as walk
from otelgres.collector.inspect.tabular.plain import as_json as json_of
from otelgres.collector.inspect.waterfall.draw import clean
from otelgres.collector.service.runfile import running
from otelgres.collector.service.settings import ReceiverSettings, load

_WORDS: Final = {
    Severity.FINE: ("ok", "green"),
    Severity.WARNING: ("warning", "yellow"),
    Severity.BROKEN: ("broken", "red"),
}


@click.command(short_help="Look at every link from a sender to the rows.")
@click.option(
    "--http", metavar="URL", help="OTLP/HTTP, such as https://telemetry.example:4318 [the receiver on --data]."
)
@click.option("--grpc", metavar="HOST:PORT", help="OTLP/gRPC; https://HOST:PORT for TLS [the receiver on --data].")
@click.option("--redis", metavar="URL", help="A Redis that flows pass through [REDIS_URL].")
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(0.1, 60),
    default=5,
    show_default=True,
    help="SharedDeadline with each link.",
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each finding.")
@click.option("--dsn", help="The database [OTELGRES_DSN, else the embedded one that is running].")
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
    """Look at every link from a sender to the rows; exit 0 if all is well, 1 after a warning, 2 if something is broken.

    Sends a span of its own over each protocol (service otelgres.diagnose). Headers, such as a token, come from
    OTEL_EXPORTER_OTLP_HEADERS, a CA certificate from OTEL_EXPORTER_OTLP_CERTIFICATE.
    """
    found = running(data)
    defaults = ReceiverSettings()
    worst = Severity.FINE
    console = Console(highlight=False)
    for finding in walk(
        load({"dsn": dsn}).dsn or running_dsn(data),
        http or (found.http if found else f"http://{defaults.http}"),
        grpc or (found.grpc if found else defaults.grpc),
        redis or os.environ.get("REDIS_URL"),
        seconds,
    ):
        worst = max(worst, finding.severity)
        if as_json:
            told = {"check": finding.check, "severity": finding.severity.name.lower()}
            click.echo(json_of(told | {"what": finding.what, "mend": finding.mend}))
        else:
            _show(console, finding)
    raise SystemExit(int(worst))


def _show(console: Console, finding: Finding) -> None:
    word, colour = _WORDS[finding.severity]
    line = Text(f"{word:<8}", colour)
    line.append(f"{finding.check:<10} {clean(finding.what)}")
    console.print(line, soft_wrap=True)
    if finding.mend:
        console.print(Text(f"{'':<19}-> {finding.mend}", "dim"), soft_wrap=True)
