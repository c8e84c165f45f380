"""``otelgres up``: runs the embedded PostgreSQL and a receiver on it until Ctrl-C."""

import os
from dataclasses import replace
from pathlib import Path

import click

from otelgres.collector.cli.options import address_options, data_option, json_option, workers_option
from otelgres.collector.cli.serving import serve_and_show
from otelgres.collector.embedded.cluster import Cluster
from otelgres.collector.embedded.logins import Login
from otelgres.collector.embedded.supervisor import Supervisor
from otelgres.collector.service.runfile import Runfile
from otelgres.collector.service.settings import load
from otelgres.collector.service.signals import stop_on_signals


@click.command(short_help="Start PostgreSQL and the receiver, with a live view.")
@data_option
@address_options
@workers_option
@json_option
def up(data: Path, grpc: str | None, http: str | None, workers: int | None, as_json: bool) -> None:
    """Start PostgreSQL and the receiver, and show incoming telemetry."""
    settings = load({"grpc": grpc, "http": http, "workers": workers})
    if settings.spool is None:
        settings = replace(settings, spool=str(data / "spool"))
    with stop_on_signals(), Cluster(data) as cluster, Supervisor(cluster), Runfile(data) as runfile:
        serve_and_show(
            settings,
            cluster.dsn(Login.WRITER),
            as_json=as_json,
            maintenance_dsn=cluster.dsn(Login.OWNER),
            reader_dsn=cluster.dsn(Login.READER),
            when_ready=lambda addresses: runfile.write(addresses.grpc, addresses.http, os.getpid()),
        )
