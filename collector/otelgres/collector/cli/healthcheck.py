"""``otelgres healthcheck``: checks /healthz or /readyz of the local receiver; for containers without curl."""

import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection

import click

from otelgres.collector.service.settings import load, parse_address

_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared with, not bound)

_OK = 200


@click.command(short_help="Check the health of the local receiver.")
@click.option("--http", metavar="HOST:PORT", help="The receiver's OTLP/HTTP address [OTELGRES_HTTP, 127.0.0.1:4318].")
@click.option("--ready", is_flag=True, help="Check /readyz (storing and gRPC) instead of /healthz.")
@click.option(
    "--timeout", "seconds", type=click.FloatRange(0.1, 60), default=3, show_default=True, help="Timeout in seconds."
)
def healthcheck(http: str | None, ready: bool, seconds: float) -> None:
    """Exit with 0 if the receiver is healthy, else with 1 and the reason.

    A receiver without its database is healthy: it keeps telemetry in its spool. Only --ready checks whether it
    does, or whether the database stores.
    """
    settings = load({"http": http})
    host, port = parse_address(settings.http, "http")
    host = _EVERY_ADDRESS.get(host, host)
    path = "/readyz" if ready else "/healthz"
    try:
        status, answer = _get(host, port, path, seconds, tls=settings.tls_cert is not None)
    except ssl.SSLError as error:
        if settings.tls_client_ca is None or ready:
            raise click.ClickException(f"TLS with {host}:{port} failed: {error.reason}") from None
        # A health check has no client certificate, but a receiver that requires one is alive.
        status, answer = _OK, "requires a client certificate"
    except (OSError, HTTPException) as error:
        reason = getattr(error, "strerror", None) or error
        raise click.ClickException(f"no answer from {host}:{port}: {reason}") from None
    click.echo(answer)
    if status != _OK:
        raise SystemExit(1)


def _get(host: str, port: int, path: str, seconds: float, *, tls: bool) -> tuple[int, str]:
    if tls:
        # The certificate is for the receiver's public name, not for this loopback address.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection: HTTPConnection = HTTPSConnection(host, port, timeout=seconds, context=context)
    else:
        connection = HTTPConnection(host, port, timeout=seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(4096).decode(errors="replace").strip()
    finally:
        connection.close()
