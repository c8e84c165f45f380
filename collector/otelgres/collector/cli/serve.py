"""``otelgres serve``: a receiver on a PostgreSQL of yours."""

import click

from otelgres.collector.cli.options import address_options, json_option, workers_option
from otelgres.collector.cli.serving import serve_and_show
from otelgres.collector.service.settings import load
from otelgres.collector.service.signals import stop_on_signals


@click.command(short_help="Receive OTLP and store it in your PostgreSQL.")
@click.option("--dsn", help="Where to store. Better given as OTELGRES_DSN: `ps` shows flags to everyone.")
@address_options
@workers_option
@json_option
def serve(dsn: str | None, grpc: str | None, http: str | None, workers: int | None, as_json: bool) -> None:
    """Receive OTLP and store it in the PostgreSQL at --dsn; its schema is brought to this version first."""
    settings = load({"dsn": dsn, "grpc": grpc, "http": http, "workers": workers})
    if not settings.dsn:
        raise click.UsageError(
            "Say where to store: --dsn or the variable OTELGRES_DSN. (`otelgres up` brings its own.)"
        )
    with stop_on_signals():
        serve_and_show(settings, settings.dsn, as_json=as_json)
