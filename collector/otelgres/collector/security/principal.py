"""Who sends: name and tenant of the token that was shown."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """The bearer of a valid token. ``tenant`` is the claim stored with it, None where it has none."""

    name: str
    tenant: str | None = None
