"""The whole chain looked at, link by link, from a sender's port to the rows and what runs behind them.

A check is a function of :class:`Context` that yields findings; ``CHECKS`` in ``checks.py`` is their order. Refuses to
mend anything.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

import psycopg


class Severity(IntEnum):
    """How bad a finding is; the worst one is the command's exit status."""

    FINE = 0
    WARNING = 1
    BROKEN = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One line about what, one line about how to mend it (empty if there is nothing to mend)."""

    check: str
    severity: Severity
    what: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What there is to look at. ``connection`` is None where the database cannot be reached."""

    dsn: str | None
    connection: psycopg.Connection[dict[str, Any]] | None
    http: str
    grpc: str
    redis: str | None
    seconds: float


Check: TypeAlias = Callable[[Context], Iterator[Finding]]


def fine(check: str, what: str) -> Finding:
    """All is well there."""
    return Finding(check, Severity.FINE, what)


def warning(check: str, what: str, mend: str) -> Finding:
    """It works, but somebody should look."""
    return Finding(check, Severity.WARNING, what, mend)


def broken(check: str, what: str, mend: str) -> Finding:
    """It does not work."""
    return Finding(check, Severity.BROKEN, what, mend)
