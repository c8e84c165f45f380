"""What the guard says to those it does not let in, and how often it said so. Refuses to know status codes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Unauthenticated:
    """No token that is good now: nothing will change until somebody changes the sender's settings."""

    message: str
    shown: bool
    """Whether there was a token at all."""


@dataclass(frozen=True, slots=True)
class PermissionDenied:
    """The token is good, but not for this."""

    message: str


class Reason(StrEnum):
    """Why somebody was not let in; the value is a metric's label."""

    NO_TOKEN = "no_token"  # noqa: S105 (a label)
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105
    EXPIRED_TOKEN = "expired_token"  # noqa: S105
    WRONG_SCOPE = "wrong_scope"
    TOO_MANY_FAILURES = "too_many_failures"


class AuthFailureCounts:
    """Counts of one receiver's auth_failures since its start. Kept by the loop that serves; readable from any thread."""

    def __init__(self) -> None:
        self._counts: Counter[Reason] = Counter()

    def add(self, reason: Reason) -> None:
        self._counts[reason] += 1

    def counts(self) -> Mapping[str, int]:
        """Every reason, also those that did not happen yet, so that a rate over them starts at zero."""
        return {reason.value: self._counts[reason] for reason in Reason}
