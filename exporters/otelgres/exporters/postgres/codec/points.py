"""A fast path for number and histogram points in the usual encoding, read by offsets.

SDKs and the Collector write the fields of a point in the order of their numbers: times and value have fixed offsets,
and the attributes after them are one slice, which is looked up as a whole. Three number points and a histogram of 15
buckets take 1.7 us each on average, against 5.0 us as messages. All other points (additional fields, a different order,
unusual times or counts, a new series) are returned to the caller, to be read as messages.
"""

import struct
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from otelgres.exporters.postgres.codec import copybinary as pg
from otelgres.exporters.postgres.codec.rows import NS_PER_DAY, Bounds

# Returns the id of (metric id, resource id, scope id, attributes as in SeriesKey), or None.
SeriesGet = Callable[[Any], int | None]

# Start, time and value, each after its tag; the tags are compared as one slice.
_NUMBER: Final = struct.Struct("<xqxQx8s").unpack_from
_NUMBER_TAGS: Final = slice(0, 19, 9)
_NUMBER_SIZE: Final = 27
_NO_START: Final = b"\x11" + bytes(8)

# Start, time, count and sum, each after its tag; then the tag and the length of the bucket counts.
_HISTOGRAM: Final = struct.Struct("<xqxQxqx8s").unpack_from
_HISTOGRAM_TAGS: Final = slice(0, 37, 9)
_HISTOGRAM_EXPECTED: Final = b"\x11\x19\x21\x29\x32"
_COUNTS_LENGTH: Final = 37
# Minimum and maximum, each after its tag, are the last 18 bytes.
_EXTREMES: Final = struct.Struct("<x8sx8s").unpack
_EXTREMES_SIZE: Final = 18
_EXTREMES_EXPECTED: Final = b"\x59\x61"

# Parts that are the same in every row (length words, NULLs, flags) are packed as a few byte strings: half the time.
_LENGTH_8: Final = struct.pack(">i", 8)
_NO_FLAGS: Final = pg.int8(0) + _LENGTH_8
_NUMBER_HEAD: Final = struct.pack(">hi", 9, 8)
_HISTOGRAM_HEAD: Final = struct.pack(">hi", 13, 8)
_NULLS_2: Final = pg.NULL * 2


def _row(after_key: str) -> Callable[..., bytes]:
    return struct.Struct(">6sq4sq4sq16sq" + after_key).pack


# Tags -> the function that packs a row, and the bytes before and after its value.
_NUMBER_ROWS: Final = {
    b"\x11\x19\x21": (_row("4s8s12s"), _LENGTH_8, pg.NULL * 3),
    b"\x11\x19\x31": (_row("8s8s8s"), pg.NULL + _LENGTH_8, _NULLS_2),
}
_HISTOGRAM_ROW: Final = _row("4sq4s8s4s8s4s8s")
_BARE_HISTOGRAM_ROW: Final = _row("4sq4s8s8s")


def add_numbers(
    points: Iterable[bytes],
    stream: tuple[int, int, int],
    series_get: SeriesGet,
    bounds: Bounds,
    parts: list[bytes],
    days: set[int],
) -> list[bytes]:
    """Adds rows of ``number_points``; returns the points that must be read as messages.

    ``stream`` is (metric id, resource id, scope id).
    """
    others: list[bytes] = []
    metric_id, resource_id, scope_id = stream
    first = end_of_day = 0
    for raw in points:
        if raw[:1] == b"\x19":
            raw = _NO_START + raw
        row = _NUMBER_ROWS.get(raw[_NUMBER_TAGS])
        if row is None or len(raw) < _NUMBER_SIZE:
            others.append(raw)
            continue
        start, at, value = _NUMBER(raw)
        if not first <= at < end_of_day:
            first, end_of_day = _day(at, bounds, days)
        series_id = series_get((metric_id, resource_id, scope_id, raw[_NUMBER_SIZE:]))
        if series_id is None or start < 0 or not end_of_day:
            others.append(raw)
            continue
        pack, before, after = row
        parts.append(
            pack(
                _NUMBER_HEAD, at // 1000 - pg.PG_EPOCH_US, _LENGTH_8, at, _LENGTH_8, start, _NO_FLAGS, series_id,
                before, value[::-1], after,
            )
        )  # fmt: skip
    return others


def add_histograms(
    points: Iterable[bytes],
    stream: tuple[int, int, int],
    series_get: SeriesGet,
    bounds: Bounds,
    parts: list[bytes],
    days: set[int],
) -> list[bytes]:
    """Adds rows of ``histogram_points``; returns the points that must be read as messages."""
    others: list[bytes] = []
    metric_id, resource_id, scope_id = stream
    first = end_of_day = 0
    for raw in points:
        if raw[:1] == b"\x19":
            raw = _NO_START + raw
        buckets = _buckets(raw) if raw[_HISTOGRAM_TAGS] == _HISTOGRAM_EXPECTED else None
        if buckets is None:
            others.append(raw)
            continue
        counts_field, bounds_field, rest = buckets
        start, at, count, total = _HISTOGRAM(raw)
        if not first <= at < end_of_day:
            first, end_of_day = _day(at, bounds, days)
        # If the end of an attribute is mistaken for minimum and maximum, the rest is not a known series.
        extremes = b""
        if len(rest) >= _EXTREMES_SIZE and rest[-_EXTREMES_SIZE::9] == _EXTREMES_EXPECTED:
            extremes, rest = rest[-_EXTREMES_SIZE:], rest[:-_EXTREMES_SIZE]
        series_id = series_get((metric_id, resource_id, scope_id, rest))
        if series_id is None or start < 0 or count < 0 or not end_of_day:
            others.append(raw)
            continue
        key = (_HISTOGRAM_HEAD, at // 1000 - pg.PG_EPOCH_US, _LENGTH_8, at, _LENGTH_8, start, _NO_FLAGS, series_id)
        if extremes:
            least, most = _EXTREMES(extremes)
            parts.append(
                _HISTOGRAM_ROW(
                    *key, _LENGTH_8, count, _LENGTH_8, total[::-1], _LENGTH_8, least[::-1], _LENGTH_8, most[::-1]
                )
            )
        else:
            parts.append(_BARE_HISTOGRAM_ROW(*key, _LENGTH_8, count, _LENGTH_8, total[::-1], _NULLS_2))
        parts += (counts_field, bounds_field, _NULLS_2)
    return others


def _day(at: int, bounds: Bounds, days: set[int]) -> tuple[int, int]:
    """Adds the day of a time to ``days``; returns its first and end time, (0, 0) for a time out of bounds."""
    if not max(bounds.earliest, 1) <= at < bounds.latest:
        return 0, 0
    day = at // NS_PER_DAY
    days.add(day)
    return max(day * NS_PER_DAY, bounds.earliest, 1), min((day + 1) * NS_PER_DAY, bounds.latest)


def _buckets(raw: bytes) -> tuple[bytes, bytes, bytes] | None:
    """The fields bucket_counts and explicit_bounds, and the bytes after them; None for an unusual encoding."""
    try:
        size, at = _length(raw, _COUNTS_LENGTH)
        end = at + size
        bounds_size, bounds_at = _length(raw, end + 1)
        bounds_end = bounds_at + bounds_size
        if raw[end] != 0x3A or size % 8 or size != bounds_size + 8 or not bounds_size or bounds_end > len(raw):
            return None
    except IndexError:
        return None
    counts = raw[at:end]
    if not counts[7::8].isascii():
        return None  # a count exceeds bigint
    return pg.int8_array_of(counts), _bounds_field(raw[bounds_at:bounds_end]), raw[bounds_end:]


def _length(raw: bytes, at: int) -> tuple[int, int]:
    """A length of one or two bytes and the offset after it. Raises IndexError."""
    size = raw[at]
    if size < 0x80:
        return size, at + 1
    if raw[at + 1] >= 0x80:
        raise IndexError("length of more than two bytes")
    return size & 0x7F | raw[at + 1] << 7, at + 2


# The histograms of an application use few different bounds.
_bounds_field = lru_cache(1024)(pg.float8_array_of)
