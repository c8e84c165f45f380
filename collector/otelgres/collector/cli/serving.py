"""Runs one or several receivers with a live view: the common part of ``up`` and ``serve``."""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import click
import psycopg

from otelgres.collector.cli.options import ready_line
from otelgres.collector.inspect.live_view import FlowLine, Totals, start_live, totals_of
from otelgres.collector.security.dsn import without_secrets
from otelgres.collector.service.log_output import log_to_stderr
from otelgres.collector.service.protection import protection
from otelgres.collector.service.run import run
from otelgres.collector.service.settings import ReceiverSettings, spool_folder
from otelgres.collector.service.signals import ignore_signals
from otelgres.collector.service.wiring import Receiver
from otelgres.collector.service.workers import Workers
from otelgres.collector.telemetry.publisher import published_beside
from otelgres.sql.queries import query

_DEFAULT_GRPC = ReceiverSettings().grpc


class Addresses(NamedTuple):
    """Addresses of a receiver: gRPC as HOST:PORT, HTTP as URL."""

    grpc: str
    http: str

    @property
    def scheme(self) -> str:
        """``http`` or ``https``; the same for both listeners."""
        return self.http.partition(":")[0]


def serve_and_show(
    settings: ReceiverSettings,
    dsn: str,
    *,
    as_json: bool,
    maintenance_dsn: str | None = None,
    reader_dsn: str | None = None,
    when_ready: Callable[[Addresses], None] = lambda addresses: None,
) -> None:
    """Runs one receiver or several until SIGINT or SIGTERM; prints the ready line or the live view.

    ``dsn`` stores. The other two, if there are such logins, maintain the schema, and read; they are ``dsn`` otherwise.
    """
    log_to_stderr()
    stop = threading.Event()
    threads: list[threading.Thread] = []
    shown_dsn = reader_dsn or dsn

    def ready(addresses: Addresses, totals: Callable[[], Totals]) -> None:
        when_ready(addresses)
        if as_json:
            click.echo(ready_line(addresses.grpc, addresses.http, without_secrets(shown_dsn), os.getpid()))
        else:
            threads.append(start_live(totals, partial(recent_flows, shown_dsn), _header(addresses, shown_dsn), stop))

    def receiver_ready(receiver: Receiver) -> None:
        ready(Addresses(receiver.grpc, receiver.http), lambda: totals_of([receiver.metrics.numbers()]))

    try:
        if settings.workers > 1:
            _run_workers(settings, dsn, maintenance_dsn, ready)
        else:
            run(settings, dsn, maintenance_dsn, receiver_ready)
    finally:
        ignore_signals()
        stop.set()
        for thread in threads:
            # Writing to a pipe that nobody reads may block for ever; the threads are daemons.
            thread.join(2.0)


def _run_workers(
    settings: ReceiverSettings,
    dsn: str,
    maintenance_dsn: str | None,
    ready: Callable[[Addresses, Callable[[], Totals]], None],
) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    protection(settings)  # reports invalid settings once, before the workers start
    with Workers(settings, dsn, maintenance_dsn) as workers:
        parent = spool_folder(settings, dsn)
        ready(
            Addresses(workers.settings.grpc, f"{_scheme(settings)}://{workers.settings.http}"),
            lambda: totals_of(published_beside(parent).values()),
        )
        stop.wait()


def recent_flows(dsn: str) -> Sequence[FlowLine] | None:
    """The newest flows; empty if the query fails, None if the login may not read them."""
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=2) as connection:
            rows = connection.execute(query("recent_flows")).fetchall()
    except psycopg.errors.InsufficientPrivilege:
        return None
    except psycopg.Error:
        return []
    return [
        FlowLine(start, name or "?", ", ".join(services), duration, spans, status)
        for start, name, services, duration, spans, status in rows
    ]


def _header(addresses: Addresses, dsn: str) -> str:
    endpoint = (
        ""
        if addresses.grpc == _DEFAULT_GRPC and addresses.scheme == "http"
        else f', endpoint="{addresses.scheme}://{addresses.grpc}"'
    )
    return f"""otelgres is ready (Ctrl-C stops it)
  OTLP/gRPC  {addresses.grpc}
  OTLP/HTTP  {addresses.http}
  PostgreSQL {without_secrets(dsn)}

  from otel_setup import configure_telemetry
  configure_telemetry(service_name="my-service"{endpoint})
  import logging; logging.getLogger("my-service").info("hello")
"""


def _scheme(settings: ReceiverSettings) -> str:
    return "https" if settings.tls_cert else "http"
