"""Cuts an export request into requests of a bounded size, so that no more than one of them is parsed at once.

Each slice has whole items, in order, under copies of the messages that hold them. The slices together are the same
request: their concatenation is one too, with more groups.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from otelgres.exporters.batch import Signal
from otelgres.exporters.outline import POINTS
from otelgres.exporters.wire import fields, runs

Buffer: TypeAlias = bytes | memoryview

SLICE_BYTES: Final = 256 * 1024
SLICE_PARTS: Final = 4096
"""Groups and items of a slice."""

# The field with the parts of a message, by level: groups of the request, scope groups, items. Points of a metric are
# in the last level, in its data.
_CHILD: Final = 10, 18, 18


def slices(signal: Signal, payload: bytes) -> Iterator[bytes]:
    """The slices of a request that ``outline`` has found to be well-formed; at least one.

    Each has about SLICE_BYTES and SLICE_PARTS, or is as large as one item and what holds it.
    """
    cut = _Cut(signal, payload).message(0, 0, len(payload), ())
    first = next(cut)
    second = next(cut, None)
    if second is None:
        yield payload  # not a copy of it
        return
    yield first
    del first
    yield second
    del second
    yield from cut


class _Holder(NamedTuple):
    """A message around the parts: its other fields, and its tag in the message that holds it (0: none does)."""

    head: Sequence[Buffer]
    tag: int


class _Cut:
    """Cuts one request."""

    def __init__(self, signal: Signal, data: bytes) -> None:
        self._data = data
        self._view = memoryview(data)
        # The level of the items: their inside is not cut, except that of metrics.
        self._deepest = 3 if signal is Signal.METRICS else 2

    def message(self, level: int, at: int, end: int, around: tuple[_Holder, ...]) -> Iterator[bytes]:
        """The message from ``at`` to ``end``, inside of ``around``, as messages with a part of its children each."""
        if level == 3:
            yield from self._metric(at, end, around)
            return
        data, view, child = self._data, self._view, _CHILD[level]
        head = [view[start:stop] for count, start, stop in runs(data, at, end, child) if not count]
        around = (*around, _Holder(head, _CHILD[level - 1] if level else 0))
        room = max(SLICE_BYTES, sum(map(len, head)))
        if level == self._deepest:
            yield from self._cut_runs(((at, end),), child, room, around)
            return
        kept: list[Buffer] = []
        size = parts = 0
        made = False
        for tag, field, start, stop in fields(data, at, end):
            if tag != child:
                continue
            length = stop - field
            inside = self._least(level + 1, start, stop) if length <= SLICE_BYTES else 1
            if kept and (size + length > room or parts + inside > SLICE_PARTS):
                yield _joined(kept, around)
                made = True
                kept, size, parts = [], 0, 0
            if length > SLICE_BYTES or inside > SLICE_PARTS:
                yield from self.message(level + 1, start, stop, around)
                made = True
            else:
                kept.append(view[field:stop])
                size += length
                parts += inside
        if kept or not made:
            yield _joined(kept, around)

    def _least(self, level: int, at: int, end: int) -> int:
        """About the number of groups and items in a message; stops soon after SLICE_PARTS."""
        if end - at <= 1024 or level == 3:
            # Whoever sends smaller ones gets smaller slices.
            return 1 + (end - at) // 16
        found = 1
        for tag, _, start, stop in fields(self._data, at, end):
            if tag == _CHILD[level]:
                found += self._least(level + 1, start, stop) if level < self._deepest else 1
                if found > SLICE_PARTS:
                    break
        return found

    def _metric(self, at: int, end: int, around: tuple[_Holder, ...]) -> Iterator[bytes]:
        data, view = self._data, self._view
        head: list[Buffer] = []
        content: list[tuple[int, int]] = []
        number = 0
        for tag, field, start, stop in fields(data, at, end):
            if tag & 7 != 2 or tag >> 3 not in POINTS:
                head.append(view[field:stop])
                continue
            if tag != number:
                # The data is a oneof: only the last of different ones counts, and equal ones are merged.
                number, content = tag, []
            content.append((start, stop))
        around = (*around, _Holder(head, _CHILD[2]))
        if not number:
            yield _joined((), around)
            return
        settings = [
            view[field:stop]
            for start, last in content
            for count, field, stop in runs(data, start, last, 10)
            if not count
        ]
        around = (*around, _Holder(settings, number))
        room = max(SLICE_BYTES, sum(map(len, head)))
        yield from self._cut_runs(content, 10, room, around)

    def _cut_runs(
        self, messages: Sequence[tuple[int, int]], child: int, room: int, around: tuple[_Holder, ...]
    ) -> Iterator[bytes]:
        """The children of messages that are merged, each child as a whole."""
        view = self._view
        kept: list[Buffer] = []
        size = parts = 0
        made = False
        for at, end in messages:
            for count, start, stop in runs(self._data, at, end, child, SLICE_PARTS):
                if not count:
                    continue
                if kept and (size + stop - start > room or parts + count > SLICE_PARTS):
                    yield _joined(kept, around)
                    made = True
                    kept, size, parts = [], 0, 0
                kept.append(view[start:stop])
                size += stop - start
                parts += count
        if kept or not made:
            yield _joined(kept, around)


def _joined(parts: Sequence[Buffer], around: Sequence[_Holder]) -> bytes:
    """The request of ``parts`` inside of ``around``."""
    pieces = [*reversed(parts)]
    size = sum(map(len, parts))
    for head, tag in reversed(around):
        pieces += reversed(head)
        size += sum(map(len, head))
        if tag:
            frame = bytes((tag,)) + _length(size)
            pieces.append(frame)
            size += len(frame)
    return b"".join(reversed(pieces))


def _length(size: int) -> bytes:
    out = bytearray()
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out)
