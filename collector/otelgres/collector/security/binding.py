"""Checks listening addresses: loopback is always allowed, others only with TLS and authentication."""

import ipaddress
import socket


class UnsafeBinding(ValueError):  # noqa: N818 (named for what the operator is told)
    """The address is reachable from other machines without protection; the message names the missing settings."""


def check_binding(setting: str, host: str, *, tls: bool, authenticated: bool) -> None:
    """Raises UnsafeBinding unless ``host`` is safe. ``authenticated``: clients need a token or certificate."""
    if (tls and authenticated) or is_loopback(host):
        return
    lacking = []
    if not tls:
        lacking.append("tls_cert and tls_key")
    if not authenticated:
        lacking.append("tokens_file (`otelgres token new` makes it)")
    raise UnsafeBinding(
        f"{setting} is set to {host}, which other machines can reach, without {' and without '.join(lacking)}. Set "
        f"them, or use 127.0.0.1. If only a private network of containers can reach it, set insecure_bind: true "
        f"(OTELGRES_INSECURE_BIND=true) to allow this."
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``. A name is loopback if all its addresses are."""
    try:
        return _is_loopback_address(host)
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return bool(found) and all(_is_loopback_address(str(address[4][0])) for address in found)


def _is_loopback_address(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
