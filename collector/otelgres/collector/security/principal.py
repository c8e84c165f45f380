"""The client of a request: name and tenant of its token."""

from dataclasses import dataclass

from otelgres.collector.system.network import client_network


@dataclass(frozen=True, slots=True)
class Principal:
    """The owner of a valid token. ``tenant`` is stored with the token, or None."""

    name: str
    tenant: str | None = None


def sender_of(principal: Principal | None, address: str) -> str:
    """Who shares turns, memory and the queue with others: a tenant, else a token's name, else the client's network."""
    if principal is None:
        return client_network(address)
    return f"token {principal.name}" if principal.tenant is None else f"tenant {principal.tenant}"
