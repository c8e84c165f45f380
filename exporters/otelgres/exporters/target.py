"""Export targets: the OTLP endpoint of one signal with its connection settings, or a database for all signals."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Protocol: TypeAlias = Literal["grpc", "http/protobuf"]
Compression: TypeAlias = Literal["none", "gzip", "deflate"]


@dataclass(frozen=True, slots=True)
class Target:
    """The OTLP target of one signal. ``timeout`` is seconds for one export; the last three are paths of PEM files.

    ``endpoint`` is ``host:port`` or a URL for gRPC, the full URL of the signal (``…/v1/logs``) for HTTP.
    """

    protocol: Protocol
    endpoint: str
    insecure: bool
    loopback: bool
    headers: Mapping[str, str]
    timeout: float
    compression: Compression
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None


@dataclass(frozen=True, slots=True)
class Database:
    """A PostgreSQL database for all signals. ``endpoint`` is ``dsn`` without its password, for messages.

    ``timeout`` is seconds for one batch, ``connect_timeout`` seconds for connecting before it.
    """

    dsn: str = field(repr=False)
    endpoint: str
    timeout: float = 30.0
    connect_timeout: int = 10


def is_loopback(host: str | None) -> bool:
    """Whether ``host`` is a loopback name or address."""
    if not host:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
