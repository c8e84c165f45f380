"""Where a command sends OTLP: an address as a person types it, headers and certificate from OpenTelemetry's variables.

Refuses to know what is sent.
"""

import os
from urllib.parse import unquote, urlsplit

from otelgres.exporters.batch import Signal
from otelgres.exporters.target import Protocol, Target, is_loopback


def target(signal: Signal, endpoint: str, grpc: str | None, timeout: float) -> Target:
    """One signal's target: ``grpc`` if it is given, else OTLP/HTTP at ``endpoint``. Raises ValueError."""
    protocol: Protocol = "grpc" if grpc else "http/protobuf"
    given = grpc or endpoint
    parts = urlsplit(given if "://" in given else f"//{given}")
    if not parts.hostname or parts.scheme not in {"", "http", "https"}:
        raise ValueError(f"{given!r} is no address: say http://HOST:PORT, or HOST:PORT for gRPC")
    loopback = is_loopback(parts.hostname)
    url = f"{parts.scheme or 'http'}://{parts.netloc}{parts.path.rstrip('/')}/v1/{signal.value}"
    return Target(
        protocol=protocol,
        endpoint=given if grpc else url,
        # As in an application: plaintext where the address says so, or where nobody else can listen.
        insecure=parts.scheme == "http" or (not parts.scheme and loopback),
        loopback=loopback,
        headers=headers(os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")),
        timeout=timeout,
        compression="gzip",
        certificate=os.environ.get("OTEL_EXPORTER_OTLP_CERTIFICATE") or None,
    )


def headers(given: str) -> dict[str, str]:
    """Names and values as in OTEL_EXPORTER_OTLP_HEADERS: ``name=value`` pairs between commas, %-encoded."""
    pairs = (item.partition("=") for item in given.split(","))
    return {unquote(name).strip().lower(): unquote(value).strip() for name, equals, value in pairs if equals}
