"""What every kind of row is made with: where rows and ledger entries gather, and how text and time are kept.

A :class:`Group` holds COPY BINARY rows by table for the requests that are committed together. Refuses to know the
fields of any signal and the statements that will carry the rows.
"""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from otelgres.exporters.postgres.codec import copybinary as pg
from otelgres.exporters.postgres.codec.anyvalue import Repairs, string_json
from otelgres.exporters.postgres.codec.attributes import AttributeCache
from otelgres.exporters.postgres.codec.dimensions import SeriesKey, SeriesRow
from otelgres.exporters.postgres.codec.limits import Limits, cut_text

NS_PER_DAY: Final = 86_400_000_000_000
# The day of every row whose time lies outside the bounds, and that time in PostgreSQL's microseconds.
OUT_OF_RANGE_DAY: Final = 0
OUT_OF_RANGE_TIME: Final = -pg.PG_EPOCH_US
MAX_INT8: Final = (1 << 63) - 1
_SAMPLE: Final = 200


class Bounds(NamedTuple):
    """Times from ``earliest`` (inclusive) to ``latest`` (exclusive) get a partition of their day; Unix nanoseconds."""

    earliest: int
    latest: int
    received: int  # what a log record without any time of its own is filed under


class Entry(NamedTuple):
    """One kind of thing that went wrong, to be counted in the ledger."""

    effect: str  # refused | dropped | repaired
    signal: str  # traces | metrics | logs, or the table where no one signal is meant
    reason: str


@dataclass
class LossCounts:
    """Counts by :class:`Entry`, each with the first sample."""

    counts: Counter[Entry] = field(default_factory=Counter)
    samples: dict[Entry, str] = field(default_factory=dict)

    def add(self, entry: Entry, count: int = 1, sample: str = "") -> None:
        """Counts ``count`` more of ``entry``."""
        self.counts[entry] += count
        if entry not in self.samples:
            # A sample may be anything, and text cannot hold U+0000.
            self.samples[entry] = sample[:_SAMPLE].replace("\0", "\ufffd")


Mark: TypeAlias = tuple[dict[str, int], Counter[str], int]


@dataclass
class Group:
    """Rows of the requests that will share a transaction: by table the COPY parts, their number and their days."""

    bounds: Bounds
    parts: dict[str, list[bytes]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    days: dict[str, set[int]] = field(default_factory=dict)
    ledger: LossCounts = field(default_factory=LossCounts)
    # (table, index of the part that is to be the series_id field, the series): points whose series has no id yet.
    pending: list[tuple[str, int, SeriesKey]] = field(default_factory=list)
    new_series: dict[SeriesKey, SeriesRow] = field(default_factory=dict)
    series_repairs: Repairs = field(default_factory=Repairs)

    def mark(self) -> Mark:
        """Where the group stands, for :meth:`rewind`."""
        return {name: len(parts) for name, parts in self.parts.items()}, self.counts.copy(), len(self.pending)

    def rewind(self, mark: Mark) -> None:
        """Takes back the rows added since ``mark`` (days and ledger entries may stay: they harm nobody)."""
        lengths, counts, pending = mark
        for name, parts in self.parts.items():
            del parts[lengths.get(name, 0) :]
        self.counts = counts
        del self.pending[pending:]

    def table(self, name: str) -> tuple[list[bytes], set[int]]:
        """The parts and the days of a table, to be added to."""
        return self.parts.setdefault(name, []), self.days.setdefault(name, set())


@dataclass
class RejectedItems:
    """Items of one request that are refused for good: how many, and why, in words for the sender."""

    count: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str) -> None:
        """Counts one item."""
        self.count += 1
        self.reasons[reason] += 1

    def message(self) -> str:
        """``3 refused: trace_id is not 16 bytes (2), …`` or the empty string."""
        if not self.count:
            return ""
        return f"{self.count} refused: " + ", ".join(f"{why} ({n})" for why, n in self.reasons.most_common())


class TextCache:
    """Raw protobuf strings -> text fields. Belongs to one thread.

    Only what PostgreSQL holds as it is stays cached; the rest goes through :meth:`repaired` each time.
    """

    def __init__(self, limits: Limits) -> None:
        self._most = limits.text_bytes or sys.maxsize
        self._known: dict[bytes, bytes] = {}
        self.get: Callable[[bytes], bytes | None] = self._known.get

    def field(self, raw: bytes, name: str, repaired: dict[str, bytes], repairs: Repairs) -> bytes:
        """The field for ``raw``; where text cannot hold it, the nearest text, and the exact value in ``repaired``."""
        known = self._known.get(raw)
        if known is not None:
            return known
        if len(raw) > self._most:
            raw = cut_text(raw, self._most)
            repairs["text_cut"] += 1
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            repaired[name] = string_json(raw, repairs)
            return pg.text(raw.decode(errors="replace").replace("\0", "\ufffd").encode())
        packed = pg.text(raw)
        if len(raw) <= 512:
            if len(self._known) >= 16_384:
                self._known.clear()
            self._known[raw] = packed
        return packed


class Caches:
    """What one thread keeps from group to group."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.attributes = AttributeCache(self.limits)
        self.texts = TextCache(self.limits)
        self.statuses: dict[bytes, bytes] = {}


def repaired_field(repaired: dict[str, bytes]) -> bytes:
    """The ``repaired`` column: NULL, or each field's exact value."""
    if not repaired:
        return pg.NULL
    return pg.jsonb(b"{" + b",".join([b'"%s":%s' % (name.encode(), value) for name, value in repaired.items()]) + b"}")


def clamped(value: int, name: str, repaired: dict[str, bytes], repairs: Repairs) -> int:
    """An unsigned 64-bit number as a bigint; one past its range is stored as the largest, the exact value beside it."""
    if value <= MAX_INT8:
        return value
    repaired[name] = b"%d" % value
    repairs["beyond_int64"] += 1
    return MAX_INT8


def wrapped(value: int, name: str, repaired: dict[str, bytes], repairs: Repairs) -> int:
    """Like :func:`clamped` for a column of a key: stored modulo 2**64, so that different numbers stay different."""
    if value <= MAX_INT8:
        return value
    repaired[name] = b"%d" % value
    repairs["beyond_int64"] += 1
    return value - (1 << 64)
