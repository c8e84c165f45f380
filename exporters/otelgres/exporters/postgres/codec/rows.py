"""Shared parts of all row modules: the group of rows and loss counts, text fields and out-of-range numbers.

A :class:`Group` holds COPY BINARY rows by table for the requests that are committed together. Has no connection.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from otelgres.exporters.batch import Signal
from otelgres.exporters.postgres.codec import copybinary as pg
from otelgres.exporters.postgres.codec.anyvalue import Repairs, readable, string_json
from otelgres.exporters.postgres.codec.attributes import AttributeCache
from otelgres.exporters.postgres.codec.dimensions import SeriesRow
from otelgres.exporters.postgres.codec.known import SeriesKey
from otelgres.exporters.postgres.codec.limits import Limits, cut_text, effect_of

NS_PER_DAY: Final = 86_400_000_000_000
# The day of every row whose time is out of bounds, and its time in PostgreSQL's microseconds.
OUT_OF_RANGE_DAY: Final = 0
OUT_OF_RANGE_TIME: Final = -pg.PG_EPOCH_US
MAX_INT8: Final = (1 << 63) - 1
_SAMPLE: Final = 200


class Bounds(NamedTuple):
    """Times from ``earliest`` (inclusive) to ``latest`` (exclusive) get a partition of their day; Unix nanoseconds."""

    earliest: int
    latest: int
    received: int  # the time of a log record that has none of its own


class LossEntry(NamedTuple):
    """One kind of loss, counted in otel.losses."""

    effect: str  # refused | dropped | repaired
    signal: str  # traces | metrics | logs, or a table name
    reason: str
    tenant_id: int = 0


@dataclass
class LossCounts:
    """Counts by :class:`LossEntry`, each with the first sample."""

    counts: Counter[LossEntry] = field(default_factory=Counter)
    samples: dict[LossEntry, str] = field(default_factory=dict)

    def add(self, entry: LossEntry, count: int = 1, sample: str = "") -> None:
        """Counts ``count`` more of ``entry``."""
        self.counts[entry] += count
        if entry not in self.samples:
            # A sample may contain U+0000, which text cannot store.
            self.samples[entry] = sample[:_SAMPLE].replace("\0", "\ufffd")

    def add_all(self, other: "LossCounts") -> None:
        """Counts all of ``other``."""
        for entry, count in other.counts.items():
            self.add(entry, count, other.samples[entry])


Mark: TypeAlias = tuple[dict[str, int], Counter[str], int]


@dataclass
class Group:
    """Rows of the requests that share a transaction: COPY parts, row counts and days, by table."""

    bounds: Bounds
    parts: dict[str, list[bytes]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    days: dict[str, set[int]] = field(default_factory=dict)
    losses: LossCounts = field(default_factory=LossCounts)
    # (table, index of the part that will be the series_id field, series): points whose series has no id yet.
    pending: list[tuple[str, int, SeriesKey]] = field(default_factory=list)
    new_series: dict[SeriesKey, SeriesRow] = field(default_factory=dict)
    # By tenant id.
    series_repairs: defaultdict[int, Repairs] = field(default_factory=lambda: defaultdict(Repairs))
    # Rows of large requests, joined, by table; and what makes those that are too many to be kept, one part at a time.
    large: dict[str, list[bytes]] = field(default_factory=dict)
    again: list[Callable[[], Iterator["Group"]]] = field(default_factory=list)

    def mark(self) -> Mark:
        """The current position, for :meth:`rewind`."""
        return {name: len(parts) for name, parts in self.parts.items()}, self.counts.copy(), len(self.pending)

    def rewind(self, mark: Mark) -> None:
        """Removes the rows added since ``mark``. Days and loss counts may stay: they do no harm."""
        lengths, counts, pending = mark
        for name, parts in self.parts.items():
            del parts[lengths.get(name, 0) :]
        self.counts = counts
        del self.pending[pending:]

    def add_losses(self, signal: Signal, tenant_id: int, repairs: Repairs, out_of_range: int) -> None:
        """Counts the repairs and the times out of bounds of one tenant's items."""
        for reason, number in repairs.items():
            self.losses.add(LossEntry(effect_of(reason), signal, reason, tenant_id), number)
        if out_of_range:
            self.losses.add(LossEntry("repaired", signal, "time_out_of_bounds", tenant_id), out_of_range)

    def rows(self, name: str) -> Iterator[bytes]:
        """The rows of a table as COPY BINARY, in pieces; those of ``again`` are not among them."""
        yield pg.HEADER + b"".join(self.parts.get(name, ()))
        yield from self.large.get(name, ())
        yield pg.TRAILER

    def table(self, name: str) -> tuple[list[bytes], set[int]]:
        """The parts and the days of a table, to append to."""
        return self.parts.setdefault(name, []), self.days.setdefault(name, set())


@dataclass
class RejectedItems:
    """Permanently rejected items of one request: their number and the reasons, for the client."""

    count: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    by_tenant: Counter[tuple[int, str]] = field(default_factory=Counter)

    def add(self, reason: str, tenant_id: int) -> None:
        """Counts one item of a tenant."""
        self.count += 1
        self.reasons[reason] += 1
        self.by_tenant[tenant_id, reason] += 1

    def __iadd__(self, other: "RejectedItems") -> "RejectedItems":
        self.count += other.count
        self.reasons += other.reasons
        self.by_tenant += other.by_tenant
        return self

    def message(self) -> str:
        """``3 rejected: trace_id has 3 bytes, not 16 (2), …`` or the empty string."""
        if not self.count:
            return ""
        return f"{self.count} rejected: " + ", ".join(f"{why} ({n})" for why, n in self.reasons.most_common())


class TextCache:
    """Maps raw protobuf strings to text fields. For one thread.

    Only strings that PostgreSQL can store unchanged are cached, so that every repair is counted.
    """

    def __init__(self, limits: Limits) -> None:
        self._most = limits.text_bytes or sys.maxsize
        self._known: dict[bytes, bytes] = {}
        self.get: Callable[[bytes], bytes | None] = self._known.get

    def field(self, raw: bytes, name: str, repaired: dict[str, bytes], repairs: Repairs) -> bytes:
        """The field for ``raw``. If text cannot store it, the nearest text, with the exact value in ``repaired``."""
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
            return pg.text(readable(raw).encode())
        packed = pg.text(raw)
        if len(raw) <= 512:
            if len(self._known) >= 16_384:
                self._known.clear()
            self._known[raw] = packed
        return packed


class Caches:
    """The caches that one thread keeps between groups."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.attributes = AttributeCache(self.limits)
        self.texts = TextCache(self.limits)
        self.statuses: dict[bytes, bytes] = {}


def repaired_field(repaired: dict[str, bytes]) -> bytes:
    """The ``repaired`` column: NULL, or the exact value of each repaired field."""
    if not repaired:
        return pg.NULL
    return pg.jsonb(b"{" + b",".join([b'"%s":%s' % (name.encode(), value) for name, value in repaired.items()]) + b"}")


def clamped(value: int, name: str, repaired: dict[str, bytes], repairs: Repairs) -> int:
    """An unsigned 64-bit number as a bigint. A larger one becomes the largest bigint; ``repaired`` gets the value."""
    if value <= MAX_INT8:
        return value
    repaired[name] = b"%d" % value
    repairs["beyond_int64"] += 1
    return MAX_INT8


def wrapped(value: int, name: str, repaired: dict[str, bytes], repairs: Repairs) -> int:
    """Like :func:`clamped`, for key columns: wrapped modulo 2**64, so that different numbers stay different."""
    if value <= MAX_INT8:
        return value
    repaired[name] = b"%d" % value
    repairs["beyond_int64"] += 1
    return value - (1 << 64)
