"""Counts permanent rejections before the transaction, by kind, for otel.losses."""

import threading
from collections import Counter
from typing import Final, NamedTuple

_KINDS: Final = 256
_SAMPLE: Final = 200


class RejectionKind(NamedTuple):
    """One kind of rejection."""

    effect: str  # refused | repaired
    source: str  # http, grpc, redaction …
    signal: str
    reason: str
    tenant: str | None = None  # of the token


class RejectionCounters:
    """Counts by kind, each with its first sample. Thread-safe. Beyond 256 kinds the rest is counted as one kind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[RejectionKind] = Counter()
        self._samples: dict[RejectionKind, str] = {}

    def add(
        self,
        source: str,
        signal: str,
        reason: str,
        sample: str = "",
        *,
        count: int = 1,
        effect: str = "refused",
        tenant: str | None = None,
    ) -> None:
        """Adds to a count. ``sample`` must not be text from a client, which may be a secret."""
        kind = RejectionKind(effect, source, signal, reason, tenant)
        with self._lock:
            if kind not in self._counts and len(self._counts) >= _KINDS:
                kind = RejectionKind(effect, source, "any", "other", tenant)
            self._counts[kind] += count
            self._samples.setdefault(kind, sample[:_SAMPLE].replace("\0", "\ufffd"))

    def take(self) -> list[tuple[RejectionKind, int, str]]:
        """Returns and resets the counts. A caller that cannot write them must call :meth:`give_back`."""
        with self._lock:
            taken = [(kind, count, self._samples.get(kind, "")) for kind, count in self._counts.items()]
            self._counts.clear()
            self._samples.clear()
        return taken

    def give_back(self, taken: list[tuple[RejectionKind, int, str]]) -> None:
        """Adds counts that ``take`` returned and that could not be written."""
        for kind, count, sample in taken:
            self.add(kind.source, kind.signal, kind.reason, sample, count=count, effect=kind.effect, tenant=kind.tenant)
