"""Cuts an export request into requests of a bounded size, so that no more than one of them is parsed at once.

Each slice has whole items, in order, under copies of the messages that hold them. The slices together are the same
request: their concatenation is one too, with more groups.
"""

from collections.abc import Iterator
from typing import Final

from otelgres.exporters.batch import Signal
from otelgres.exporters.outline import POINTS, fields

SLICE_BYTES: Final = 256 * 1024
SLICE_PARTS: Final = 4096
"""Groups and items of a slice."""

# The field with the parts of a message, by level: groups of the request, scope groups, items. Points of a metric are
# in the last level, in its data.
_CHILD: Final = 10, 18, 18


def slices(signal: Signal, payload: bytes) -> Iterator[bytes]:
    """The slices of a request that ``outline`` has found to be well-formed. At least one; each has about SLICE_BYTES and
    SLICE_PARTS, or is as large as one item and what holds it."""
    yield from _cut(signal, payload, 0, 0, len(payload))


def _cut(signal: Signal, data: bytes, level: int, at: int, end: int) -> Iterator[bytes]:
    """The message from ``at`` to ``end`` as messages with a part of its children each."""
    if level == 3:
        yield from _cut_metric(data, at, end)
        return
    child = _CHILD[level]
    head = b"".join([data[field:stop] for tag, field, _, stop in fields(data, at, end) if tag != child])
    deeper = level < (3 if signal is Signal.METRICS else 2)
    kept: list[bytes] = []
    size = parts = 0
    made = False
    for tag, field, start, stop in fields(data, at, end):
        if tag != child:
            continue
        length = stop - field
        inside = _least(signal, data, level + 1, start, stop) if deeper and length <= SLICE_BYTES else 1
        if kept and (size + length > max(SLICE_BYTES, len(head)) or parts + inside > SLICE_PARTS):
            yield head + b"".join(kept)
            made = True
            kept, size, parts = [], 0, 0
        if deeper and (length > SLICE_BYTES or inside > SLICE_PARTS):
            for piece in _cut(signal, data, level + 1, start, stop):
                yield head + framed(child, piece)
            made = True
        else:
            kept.append(data[field:stop])
            size += length
            parts += inside
    if kept or not made:
        yield head + b"".join(kept)


def _least(signal: Signal, data: bytes, level: int, at: int, end: int) -> int:
    """A message's number of children's children …; stops soon after SLICE_PARTS."""
    if end - at <= 1024:
        # At most so many messages of two bytes; whoever sends such small ones gets smaller slices.
        return 1 + (end - at) // 16
    found = 1
    deeper = level < (3 if signal is Signal.METRICS else 2)
    if level == 3:
        return 1 + (end - at) // 16
    for tag, _, start, stop in fields(data, at, end):
        if tag == _CHILD[level]:
            found += _least(signal, data, level + 1, start, stop) if deeper else 1
            if found > SLICE_PARTS:
                break
    return found


def _cut_metric(data: bytes, at: int, end: int) -> Iterator[bytes]:
    head, content = [], []
    number = 0
    for tag, field, start, stop in fields(data, at, end):
        if tag & 7 == 2 and tag >> 3 in POINTS:
            if tag != number:
                # The data is a oneof: only the last of different ones counts, and equal ones are merged.
                number, content = tag, []
            content.append((start, stop))
        else:
            head.append(data[field:stop])
    if not number:
        yield data[at:end]
        return
    ends = b"".join(head)
    settings = b"".join(
        [data[f:stop] for start, last in content for tag, f, _, stop in fields(data, start, last) if tag != 10]
    )
    kept: list[bytes] = []
    size = 0
    made = False
    for start, last in content:
        for tag, field, _, stop in fields(data, start, last):
            if tag != 10:
                continue
            if kept and (size + stop - field > max(SLICE_BYTES, len(ends)) or len(kept) >= SLICE_PARTS):
                yield ends + framed(number, settings + b"".join(kept))
                made = True
                kept, size = [], 0
            kept.append(data[field:stop])
            size += stop - field
    if kept or not made:
        yield ends + framed(number, settings + b"".join(kept))


def framed(tag: int, content: bytes) -> bytes:
    """A field with a length and a tag of one byte."""
    size = len(content)
    out = bytearray((tag,))
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out) + content
