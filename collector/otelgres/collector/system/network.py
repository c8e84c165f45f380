"""The network that an IP address stands for where clients without a token are told apart by address."""

import ipaddress
from typing import Final

# A host with an IPv6 address usually has its whole /64.
_IPV6_PREFIX: Final = 64


def client_network(address: str) -> str:
    """The IPv4 address itself, the /64 of an IPv6 address, and anything else unchanged."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))
