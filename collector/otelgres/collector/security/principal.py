"""Who sent what is being handled: name and tenant of the token that was shown. Refuses to know how it was proved."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """The bearer of a valid token. ``tenant`` is the claim stored with it, None where it has none."""

    name: str
    tenant: str | None = None


# A variable of the request's own task instead of a parameter: between a door and the store stand several rooms that
# have no business with it. None: nobody had to prove anything.
_current: ContextVar[Principal | None] = ContextVar("otelgres_principal", default=None)


def current_principal() -> Principal | None:
    """Whose request the running task handles; None where the listeners ask for no token."""
    return _current.get()


def acting_as(principal: Principal) -> None:
    """From here on the running task handles this principal's request. Tasks that it starts inherit that."""
    _current.set(principal)
