"""The OTLP target of a command: an address from the command line, headers and certificate from OTEL_* variables."""

import os
from urllib.parse import unquote, urlsplit

from otelgres.exporters.batch import Signal
from otelgres.exporters.target import Protocol, Target, is_loopback


def target(signal: Signal, endpoint: str, grpc: str | None, timeout: float) -> Target:
    """The target of one signal: gRPC at ``grpc`` if given, else OTLP/HTTP at ``endpoint``. Raises ValueError."""
    protocol: Protocol = "grpc" if grpc else "http/protobuf"
    given = grpc or endpoint
    parts = urlsplit(given if "://" in given else f"//{given}")
    if not parts.hostname or parts.scheme not in {"", "http", "https"}:
        raise ValueError(f"invalid address {given!r}: use http://HOST:PORT, or HOST:PORT for gRPC")
    loopback = is_loopback(parts.hostname)
    url = f"{parts.scheme or 'http'}://{parts.netloc}{parts.path.rstrip('/')}/v1/{signal.value}"
    return Target(
        protocol=protocol,
        endpoint=given if grpc else url,
        # As in an application: plaintext for http:// and, without a scheme, for loopback addresses.
        insecure=parts.scheme == "http" or (not parts.scheme and loopback),
        loopback=loopback,
        headers=headers(os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")),
        timeout=timeout,
        compression="gzip",
        certificate=os.environ.get("OTEL_EXPORTER_OTLP_CERTIFICATE") or None,
    )


def headers(given: str) -> dict[str, str]:
    """Parses OTEL_EXPORTER_OTLP_HEADERS: comma-separated, percent-encoded ``name=value`` pairs."""
    pairs = (item.partition("=") for item in given.split(","))
    return {unquote(name).strip().lower(): unquote(value).strip() for name, equals, value in pairs if equals}
