"""``otelgres healthcheck``: asks the receiver of this machine whether it lives; for containers, which have no curl.

Refuses to know anything that the receiver's own /healthz and /readyz do not say.
"""

import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection

import click

from otelgres.collector.service.settings import load, parse_address

_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared with, not bound)

_OK = 200


@click.command(short_help="Ask the receiver whether it is well.")
@click.option("--http", metavar="HOST:PORT", help="The receiver's OTLP/HTTP address [OTELGRES_HTTP, 127.0.0.1:4318].")
@click.option("--ready", is_flag=True, help="Ask /readyz: the database is reachable too. Without: /healthz.")
@click.option(
    "--timeout", "seconds", type=click.FloatRange(0.1, 60), default=3, show_default=True, help="How long to wait."
)
def healthcheck(http: str | None, ready: bool, seconds: float) -> None:
    """Exit 0 if the receiver answers that it is well, else 1 with the reason.

    A receiver whose database is away is alive: it keeps what comes in its spool. Only --ready minds.
    """
    settings = load({"http": http})
    host, port = parse_address(settings.http, "http")
    host = _EVERY_ADDRESS.get(host, host)
    path = "/readyz" if ready else "/healthz"
    try:
        status, said = _get(host, port, path, seconds, tls=settings.tls_cert is not None)
    except ssl.SSLError as error:
        if settings.tls_client_ca is None or ready:
            raise click.ClickException(f"TLS with {host}:{port} failed: {error.reason}") from None
        # It wants a certificate that a health check has no business to hold; whoever asks for one is alive.
        status, said = _OK, "asks for a client certificate"
    except (OSError, HTTPException) as error:
        reason = getattr(error, "strerror", None) or error
        raise click.ClickException(f"no answer from {host}:{port}: {reason}") from None
    click.echo(said)
    if status != _OK:
        raise SystemExit(1)


def _get(host: str, port: int, path: str, seconds: float, *, tls: bool) -> tuple[int, str]:
    if tls:
        # Our own certificate, which names us as others know us: whether it is the right one is not asked here.
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
