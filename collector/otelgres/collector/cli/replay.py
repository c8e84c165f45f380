"""``otelgres replay``: sends the telemetry files that applications and receivers have kept."""

import os
from pathlib import Path

import click

from otelgres.collector.cli.progress import progress
from otelgres.collector.system.terminal import clean
from otelgres.exporters.batch import Signal
from otelgres.exporters.otlp import OtlpExporter
from otelgres.exporters.otlp_endpoint import target
from otelgres.exporters.plural import counted
from otelgres.exporters.spool.candidates import candidates
from otelgres.exporters.spool.replay import Removal, ReplayResult
from otelgres.exporters.spool.replay import replay as send_files

_DEFAULT_ENDPOINT = "http://127.0.0.1:4318"
_TIMEOUT = 30.0


@click.command(short_help="Send the telemetry files of a folder.")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, path_type=Path))
@click.option("--endpoint", metavar="URL", help=f"OTLP/HTTP receiver [{_DEFAULT_ENDPOINT}].")
@click.option("--grpc", metavar="HOST:PORT", help="OTLP/gRPC receiver, instead; https://HOST:PORT for TLS.")
@click.option(
    "--delete/--keep",
    default=None,
    help="Remove files that were sent completely, or no file. Default: remove spool files, keep JSON files.",
)
def replay(folder: Path, endpoint: str | None, grpc: str | None, delete: bool | None) -> None:
    """Send the telemetry files in DIR: the spool of an application or of a receiver, with its quarantine, or
    OTLP/JSON lines (*.json, *.jsonl).

    An otelgres receiver detects duplicates, so an interrupted replay can be repeated. A file is removed only if it is
    intact and the receiver has taken all of it; any other is left, with the reason. Uses the headers (for example a
    token) of OTEL_EXPORTER_OTLP_HEADERS and the CA certificate of OTEL_EXPORTER_OTLP_CERTIFICATE. Exit status 1 if
    anything was left.
    """
    if endpoint and grpc:
        raise click.UsageError("Use either --endpoint or --grpc.")
    try:
        targets = {signal: target(signal, endpoint or _DEFAULT_ENDPOINT, grpc, _TIMEOUT) for signal in Signal}
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None
    exporter = OtlpExporter(targets)
    removal = Removal.SPOOL if delete is None else Removal.ALL if delete else Removal.NONE
    try:
        files = candidates(folder)
        if not files:
            click.echo(f"no spool files or OTLP/JSON lines in {click.format_filename(folder)}")
        with progress("bytes", sum(file.size for file in files)) as advance:
            results = send_files(files, exporter, removal, lambda result: click.echo(_line(result, folder)), advance)
    finally:
        exporter.close()
    batches, items, refused = (
        sum(getattr(result, name) for result in results) for name in ("batches", "items", "refused")
    )
    left = [result for result in results if result.left]
    click.echo(
        f"{counted(items, 'item')} in {counted(batches, 'batch', 'batches')} sent, {refused:,} rejected, "
        + (f"{len(left)} of {counted(len(results), 'file')} left" if left else "nothing left")
    )
    if left:
        raise SystemExit(1)


def _line(result: ReplayResult, folder: Path) -> str:
    name = os.path.relpath(result.path, os.path.realpath(folder))
    name = str(folder) if name == os.curdir else name
    # Names of files and answers of receivers can contain anything.
    return clean(f"{name}: {_what_happened(result)}", "?")


def _what_happened(result: ReplayResult) -> str:
    if result.gone:
        return "not here any more, another process has it"
    parts = [f"{counted(result.items, 'item')} sent"]
    if result.refused or result.reason:
        parts.append(f"{result.refused:,} rejected ({result.reason})")
    if result.damaged:
        parts.append(f"{result.damaged:,} damaged")
    if result.left:
        parts.append(f"left: {result.left}")
    return ", ".join(parts)
