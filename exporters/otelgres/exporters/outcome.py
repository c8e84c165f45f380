"""The outcome of one batch, as returned by every exporter.

``Accepted``, ``Invalid`` and ``TooLarge`` are final; ``Overloaded`` and ``Unavailable`` are retryable.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Accepted:
    """The exporter has taken the batch: PostgreSQL has committed it, the spool has fsynced it, an OTLP receiver has
    acknowledged it, the console has printed it.

    ``rejected`` items were rejected permanently; ``message`` gives the reasons (or a warning, if ``rejected`` is 0).
    """

    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Invalid:
    """The batch can never be accepted: do not retry."""

    message: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The batch exceeds a size limit, before or after decompression: do not retry without splitting it."""

    message: str


@dataclass(frozen=True, slots=True)
class Overloaded:
    """Nothing was accepted because the destination is overloaded: retry after ``retry_after`` seconds."""

    retry_after: float
    message: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nothing was accepted because the destination is unavailable: retry after ``retry_after`` seconds."""

    retry_after: float
    message: str


Outcome: TypeAlias = Accepted | Invalid | TooLarge | Overloaded | Unavailable
