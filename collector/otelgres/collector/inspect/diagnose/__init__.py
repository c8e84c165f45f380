"""Checks of every step from a sender's port to the stored rows; nothing is changed.

A check is a function that takes a :class:`Context` and yields findings; ``CHECKS`` in ``checks.py`` has their order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

import psycopg


class Severity(IntEnum):
    """The severity of a finding; the highest one is the exit status of the command."""

    FINE = 0
    WARNING = 1
    BROKEN = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check: one line that describes it, and one line with the fix (empty if none is needed)."""

    check: str
    severity: Severity
    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What to check. ``connection`` is None if the database is unreachable; ``seconds`` is the timeout of a check."""

    dsn: str | None
    connection: psycopg.Connection[dict[str, Any]] | None
    http: str
    grpc: str
    redis: str | None
    seconds: float


Check: TypeAlias = Callable[[Context], Iterator[Finding]]


def fine(check: str, what: str) -> Finding:
    """A finding without a problem."""
    return Finding(check, Severity.FINE, what)


def warning(check: str, what: str, fix: str) -> Finding:
    """A finding that needs attention, although telemetry is stored."""
    return Finding(check, Severity.WARNING, what, fix)


def broken(check: str, what: str, fix: str) -> Finding:
    """A finding that prevents telemetry from being stored or read."""
    return Finding(check, Severity.BROKEN, what, fix)
