"""``otelgres serve``: runs the receiver on your PostgreSQL."""

import click

from otelgres.collector.cli.options import address_options, json_option, workers_option
from otelgres.collector.cli.serving import serve_and_show
from otelgres.collector.service.settings import load
from otelgres.collector.service.signals import stop_on_signals


@click.command(short_help="Run the receiver on your PostgreSQL.")
@click.option("--dsn", help="Database DSN. Prefer OTELGRES_DSN: `ps` shows options to everyone.")
@address_options
@workers_option
@json_option
def serve(dsn: str | None, grpc: str | None, http: str | None, workers: int | None, as_json: bool) -> None:
    """Receive OTLP and store it in the PostgreSQL at --dsn, after migrating its schema."""
    settings = load({"dsn": dsn, "grpc": grpc, "http": http, "workers": workers})
    if not settings.dsn:
        raise click.UsageError(
            "no database: set --dsn or OTELGRES_DSN, or use `otelgres up`, which has an embedded one."
        )
    with stop_on_signals():
        serve_and_show(settings, settings.dsn, as_json=as_json)
