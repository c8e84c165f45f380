"""The client of a request: name and tenant of its token."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """The owner of a valid token. ``tenant`` is stored with the token, or None."""

    name: str
    tenant: str | None = None
