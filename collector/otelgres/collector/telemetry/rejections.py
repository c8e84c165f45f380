"""What was refused for good before it came to a transaction, counted for the ledger of losses, never one by one.

Refusals that ask the sender to come back are no losses and are not here. Refuses to know SQL and doors.
"""

import threading
from collections import Counter
from typing import Final, NamedTuple

_KINDS: Final = 256
_SAMPLE: Final = 200


class Rejection(NamedTuple):
    """One kind of refusal."""

    effect: str  # refused | repaired
    source: str  # http, grpc, tenancy, redaction …
    signal: str
    reason: str


class RejectionCounters:
    """Counts by kind, each with the first sample; for any thread. More kinds than a few hundred are not told apart."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[Rejection] = Counter()
        self._samples: dict[Rejection, str] = {}

    def add(
        self, source: str, signal: str, reason: str, sample: str = "", *, count: int = 1, effect: str = "refused"
    ) -> None:
        """Counts. ``sample`` must be words of ours: what a sender said may be a secret."""
        kind = Rejection(effect, source, signal, reason)
        with self._lock:
            if kind not in self._counts and len(self._counts) >= _KINDS:
                kind = Rejection(effect, source, "any", "other")
            self._counts[kind] += count
            self._samples.setdefault(kind, sample[:_SAMPLE].replace("\0", "\ufffd"))

    def take(self) -> list[tuple[Rejection, int, str]]:
        """Everything so far, which is forgotten here: whoever cannot write it gives it back."""
        with self._lock:
            taken = [(kind, count, self._samples.get(kind, "")) for kind, count in self._counts.items()]
            self._counts.clear()
            self._samples.clear()
        return taken

    def give_back(self, taken: list[tuple[Rejection, int, str]]) -> None:
        """It was not written."""
        for kind, count, sample in taken:
            self.add(kind.source, kind.signal, kind.reason, sample, count=count, effect=kind.effect)
