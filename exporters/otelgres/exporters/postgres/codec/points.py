"""Number and histogram points as everyone writes them, read by offsets.

SDKs and the Collector write the fields of a point in the order of their numbers: times and value stand at fixed places,
and the attributes behind them are one slice, which is looked up whole. So three number points and a histogram of 15
buckets take 1.7 us each on average, as messages 5.0. What looks otherwise in any way (a field more, another order, a
time or a count out of the usual, a series that is new) is handed back, to be read as a message: then it costs what a
message costs. Refuses to know what such a point means.
"""

import struct
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from otelgres.exporters.postgres.codec import copybinary as pg
from otelgres.exporters.postgres.codec.rows import NS_PER_DAY, Bounds

# The id of (metric id, resource id, scope id, attributes as a SeriesKey has them), or None.
SeriesGet = Callable[[Any], int | None]

# Start, time and value, each behind its tag; the tags are compared as one slice.
_NUMBER: Final = struct.Struct("<xqxQx8s").unpack_from
_NUMBER_TAGS: Final = slice(0, 19, 9)
_NUMBER_SIZE: Final = 27
_NO_START: Final = b"\x11" + bytes(8)

# Start, time, count and sum, each behind its tag; then the tag and the length of the bucket counts.
_HISTOGRAM: Final = struct.Struct("<xqxQxqx8s").unpack_from
_HISTOGRAM_TAGS: Final = slice(0, 37, 9)
_HISTOGRAM_LIKE: Final = b"\x11\x19\x21\x29\x32"
_COUNTS_LENGTH: Final = 37
# Minimum and maximum, each behind its tag, are the last 18 bytes.
_EXTREMES: Final = struct.Struct("<x8sx8s").unpack
_EXTREMES_SIZE: Final = 18
_EXTREMES_LIKE: Final = b"\x59\x61"

# What is the same in every row (length words, NULLs, flags) goes into a pack as a few byte strings: half the price.
_LENGTH_8: Final = struct.pack(">i", 8)
_NO_FLAGS: Final = pg.int8(0) + _LENGTH_8
_NUMBER_HEAD: Final = struct.pack(">hi", 9, 8)
_HISTOGRAM_HEAD: Final = struct.pack(">hi", 13, 8)
_NULLS_2: Final = pg.NULL * 2


def _row(after_key: str) -> Callable[..., bytes]:
    return struct.Struct(">6sq4sq4sq16sq" + after_key).pack


# Tags -> what packs a row, and what stands before and after its value.
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
    """Adds rows of ``number_points``; returns the points that are still to be read as messages.

    ``stream`` is (metric id, resource id, scope id).
    """
    others: list[bytes] = []
    metric_id, resource_id, scope_id = stream
    first = behind = 0
    for raw in points:
        if raw[:1] == b"\x19":
            raw = _NO_START + raw
        row = _NUMBER_ROWS.get(raw[_NUMBER_TAGS])
        if row is None or len(raw) < _NUMBER_SIZE:
            others.append(raw)
            continue
        start, at, value = _NUMBER(raw)
        if not first <= at < behind:
            first, behind = _day(at, bounds, days)
        series_id = series_get((metric_id, resource_id, scope_id, raw[_NUMBER_SIZE:]))
        if series_id is None or start < 0 or not behind:
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
    """Adds rows of ``histogram_points``; returns the points that are still to be read as messages."""
    others: list[bytes] = []
    metric_id, resource_id, scope_id = stream
    first = behind = 0
    for raw in points:
        if raw[:1] == b"\x19":
            raw = _NO_START + raw
        buckets = _buckets(raw) if raw[_HISTOGRAM_TAGS] == _HISTOGRAM_LIKE else None
        if buckets is None:
            others.append(raw)
            continue
        counts_field, bounds_field, rest = buckets
        start, at, count, total = _HISTOGRAM(raw)
        if not first <= at < behind:
            first, behind = _day(at, bounds, days)
        # What only looks like minimum and maximum is the end of an attribute: what is before it is no known series.
        extremes = b""
        if len(rest) >= _EXTREMES_SIZE and rest[-_EXTREMES_SIZE::9] == _EXTREMES_LIKE:
            extremes, rest = rest[-_EXTREMES_SIZE:], rest[:-_EXTREMES_SIZE]
        series_id = series_get((metric_id, resource_id, scope_id, rest))
        if series_id is None or start < 0 or count < 0 or not behind:
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
    """Notes the day of a time; from when until when it lasts, (0, 0) for a time that is out of bounds."""
    if not max(bounds.earliest, 1) <= at < bounds.latest:
        return 0, 0
    day = at // NS_PER_DAY
    days.add(day)
    return max(day * NS_PER_DAY, bounds.earliest, 1), min((day + 1) * NS_PER_DAY, bounds.latest)


def _buckets(raw: bytes) -> tuple[bytes, bytes, bytes] | None:
    """The fields bucket_counts and explicit_bounds, and the bytes behind them; None for what is unusual."""
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
        return None  # one of them is beyond a bigint
    return pg.int8_array_of(counts), _bounds_field(raw[bounds_at:bounds_end]), raw[bounds_end:]


def _length(raw: bytes, at: int) -> tuple[int, int]:
    """A length of one or two bytes and the place behind it. Raises IndexError."""
    size = raw[at]
    if size < 0x80:
        return size, at + 1
    if raw[at + 1] >= 0x80:
        raise IndexError("more bounds than anyone has")
    return size & 0x7F | raw[at + 1] << 7, at + 2


# Every histogram of an application has the same few bounds.
_bounds_field = lru_cache(1024)(pg.float8_array_of)
