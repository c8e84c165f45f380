"""What became of one batch: the words every exporter answers with and every transport translates.

Two kinds matter to a sender: an answer that is final (``Accepted``, ``Invalid``, ``TooLarge``) and one that asks it to
come back (``Overloaded``, ``Unavailable``). Refuses to know status codes of any protocol and SQLSTATEs of any database.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Accepted:
    """The batch is durable. ``rejected`` items were refused for good; ``message`` says why (or warns, with 0)."""

    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Invalid:
    """Nothing of it can ever be taken: do not send it again."""

    message: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Over the size limit, before or after inflation: do not send it again as it is."""

    message: str


@dataclass(frozen=True, slots=True)
class Overloaded:
    """Nothing was taken because too much is waiting: send it again after ``retry_after`` seconds."""

    retry_after: float
    message: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nothing was taken because the store is away: send it again after ``retry_after`` seconds."""

    retry_after: float
    message: str


Outcome: TypeAlias = Accepted | Invalid | TooLarge | Overloaded | Unavailable
