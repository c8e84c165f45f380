"""Cuts the text of an OTLP/JSON request into requests of a bounded size, so that only one of them is parsed at once.

A parsed JSON value takes up to 140 times the memory of its text (``{},``). The text is scanned for brackets and quotes
only: each slice is parsed, and so checked, by the JSON parser.
"""

import re
from array import array
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from otelgres.exporters.batch import Signal
from otelgres.exporters.outline import Bounds, TooManyParts, too_many_groups, too_many_items

SLICE_BYTES: Final = 64 * 1024
# A text of so many bytes with so few objects, arrays and commas is one slice: each takes at most 150 bytes once it is
# parsed, and to scan a text takes longer than to parse it.
_WHOLE_BYTES: Final = 1024 * 1024
_WHOLE_VALUES: Final = 65_536

_BRACKETS: Final = re.compile(rb'[\\"{}\[\]]').finditer
_ELEMENTS: Final = re.compile(rb'[\\"{\[,]').finditer
_TOO_MANY: Final = "an item, or what is around the items, has more than the limit of {:,} JSON values: send fewer"
# The regular expression holds the GIL while it searches.
_WINDOW: Final = 256 * 1024
_QUOTE, _BACKSLASH, _OPEN_ARRAY, _CLOSE_ARRAY, _OPEN_OBJECT = b'"\\[]{'


class Slice(NamedTuple):
    """The text of a smaller request; ``first`` are the indices in the original of its first group, scope, item."""

    text: bytes
    first: tuple[int, ...]


class RepeatedKey(ValueError):  # noqa: N818 (named after the answer to the client)
    """A key on the path to the items is there twice, or under both of its names."""


class _Step(NamedTuple):
    """A container on the path to the items: its bracket, and the keys whose value it may be (None: an element)."""

    bracket: int
    keys: frozenset[bytes] | None = None


def _step(*keys: bytes) -> _Step:
    return _Step(_OPEN_ARRAY, frozenset(keys))


_OBJECT: Final = _Step(_OPEN_OBJECT)
_REQUEST: Final[dict[Signal, tuple[_Step, ...]]] = {
    signal: (_OBJECT, _step(*groups), _OBJECT, _step(*scopes), _OBJECT, _step(*items), _OBJECT)
    for signal, groups, scopes, items in (
        (Signal.TRACES, (b"resourceSpans", b"resource_spans"), (b"scopeSpans", b"scope_spans"), (b"spans",)),
        (
            Signal.LOGS,
            (b"resourceLogs", b"resource_logs"),
            (b"scopeLogs", b"scope_logs"),
            (b"logRecords", b"log_records"),
        ),
        (Signal.METRICS, (b"resourceMetrics", b"resource_metrics"), (b"scopeMetrics", b"scope_metrics"), (b"metrics",)),
    )
}
_DATA: Final = frozenset(
    {b"gauge", b"sum", b"histogram", b"exponentialHistogram", b"exponential_histogram", b"summary"}
)
_METRIC: Final = (_OBJECT, _Step(_OPEN_OBJECT, _DATA), _step(b"dataPoints", b"data_points"), _OBJECT)


class _Node:
    """A container on the path, from its opening bracket to the closing one; ``inner`` is the one on the path in it."""

    __slots__ = ("elements", "end", "inner", "key", "last", "start")

    def __init__(self, start: int, key: bytes) -> None:
        self.start = start
        self.end = 0
        self.key = key
        self.inner: _Node | None = None
        self.elements: list[_Node] = []
        # The offsets of the innermost elements: start, end, start, end …
        self.last: array[int] = array("Q")


def slices(signal: Signal, data: bytes, bounds: Bounds) -> Iterator[Slice]:
    """The slices of a request. Raises TooManyParts or RepeatedKey.

    The last one is what is around the groups, with none of them.
    """
    if len(data) <= SLICE_BYTES or (len(data) <= _WHOLE_BYTES and _few(data, _WHOLE_VALUES)):
        yield Slice(data, ())
        return
    root = _scan(data, 0, len(data), _REQUEST[signal], bounds)
    groups = root.inner if root is not None else None
    if groups is None or not groups.end:
        yield _checked(Slice(data, ()), bounds)
        return
    around = b'{"%s":[' % groups.key, b"]}"
    for one in _cut(data, groups, around, (), signal):
        yield _checked(one, bounds)
    yield _checked(Slice(data[: groups.start + 1] + data[groups.end :], ()), bounds)


def _checked(one: Slice, bounds: Bounds) -> Slice:
    """The slice, if its values are not too many. Raises TooManyParts."""
    text, most = one.text, bounds.parts
    if not most or len(text) <= 2 * SLICE_BYTES or _few(text, most):
        return one
    found = 0
    skipped, quoted = -1, False
    for at in range(0, len(text), _WINDOW):
        for match in _ELEMENTS(text, at, at + _WINDOW):
            offset = match.start()
            byte = text[offset]
            if offset == skipped:
                continue
            if byte == _BACKSLASH:
                skipped = offset + 1
            elif byte == _QUOTE:
                quoted = not quoted
            elif not quoted:
                found += 1
        if found > most:
            raise TooManyParts(_TOO_MANY.format(most))
    return one


def _few(text: bytes, most: int) -> bool:
    """Whether there are at most so many, those in strings included. Counting holds the GIL too."""
    found = 0
    for at in range(0, len(text), _WINDOW):
        found += sum(text.count(one, at, at + _WINDOW) for one in (b"{", b"[", b","))
        if found > most:
            return False
    return True


def _scan(data: bytes, at: int, end: int, path: Sequence[_Step], bounds: Bounds) -> _Node | None:
    """The containers on the path in the JSON value from ``at`` to ``end``; None if it is not an object."""
    root: _Node | None = None
    open_nodes: list[_Node] = []  # as many as leading containers are on the path
    depth = matched = groups = items = 0
    longest = len(path)
    # Brackets and strings since the last container on the path: an object of one member has three.
    most = left = 4 * bounds.parts or 1 << 62
    skipped, quoted = -1, False
    key_start = key_end = 0
    for start in range(at, end, _WINDOW):
        for match in _BRACKETS(data, start, min(start + _WINDOW, end)):
            offset = match.start()
            if offset == skipped:
                continue
            byte = data[offset]
            if byte == _QUOTE:
                quoted = not quoted
                if quoted:
                    key_start = offset + 1
                    left -= 1
                else:
                    key_end = offset
            elif byte == _BACKSLASH:
                skipped = offset + 1
            elif quoted:
                continue
            elif byte in (_OPEN_OBJECT, _OPEN_ARRAY):
                left -= 1
                if matched == depth and depth < longest:
                    step = path[depth]
                    if step.bracket == byte and (step.keys is None or data[key_start:key_end] in step.keys):
                        matched += 1
                        left = most
                        if matched == longest:
                            open_nodes[-1].last.append(offset)
                            items += 1
                            if bounds.items and items > bounds.items:
                                raise too_many_items(items, bounds.items)
                        else:
                            node = _Node(offset, b"" if step.keys is None else data[key_start:key_end])
                            if not open_nodes:
                                if root is not None:
                                    return None  # two values
                                root = node
                            elif step.keys is None:
                                open_nodes[-1].elements.append(node)
                                groups += 1
                                if bounds.groups and groups > bounds.groups:
                                    raise too_many_groups(bounds.groups)
                            elif open_nodes[-1].inner is not None:
                                raise RepeatedKey(
                                    f"set only one of {', '.join(sorted(map(bytes.decode, step.keys)))}, once"
                                )
                            else:
                                open_nodes[-1].inner = node
                            open_nodes.append(node)
                depth += 1
            else:
                if matched == depth and depth:
                    if matched == longest:
                        open_nodes[-1].last.append(offset + 1)
                    else:
                        open_nodes.pop().end = offset
                    matched -= 1
                depth -= 1
                if depth < 0:
                    return None
        if left < 0:
            raise TooManyParts(_TOO_MANY.format(bounds.parts))
    return root


def _cut(
    data: bytes, holder: _Node, around: tuple[bytes, bytes], first: tuple[int, ...], signal: Signal | None
) -> Iterator[Slice]:
    """The elements of an array as arrays with a part of them each, inside of ``around``.

    With a signal of None the elements are points, which stay whole.
    """
    before, after = around
    room = max(SLICE_BYTES, len(before) + len(after))
    begin = previous = holder.start + 1
    kept = index = 0  # the number of elements from ``begin`` on, and of all
    for start, stop in _elements(holder):
        # What is not separated by a comma stays together, for the parser.
        separated = data[previous:start].strip() == (b"," if index else b"")
        if kept and separated and stop - begin > room:
            yield Slice(before + data[begin:previous] + after, (*first, index - kept))
            begin, kept = start, 0
        inner = (
            _inner(data, holder, index, start, stop, signal) if not kept and separated and stop - start > room else None
        )
        if inner is not None:
            pieces = before + data[start : inner.start + 1], data[inner.end : stop] + after
            yield from _cut(data, inner, pieces, (*first, index), signal if holder.elements else None)
            # The comma after it is no part of the next.
            begin = stop + re.match(rb"\s*,?", data[stop : stop + _WINDOW]).end()  # type: ignore[union-attr]
        else:
            kept += 1
        index += 1
        previous = stop
    if kept or not index or data[begin : holder.end].strip():
        yield Slice(before + data[begin : holder.end] + after, (*first, index - kept))


def _elements(holder: _Node) -> Iterator[tuple[int, int]]:
    for node in holder.elements:
        yield node.start, node.end + 1
    offsets = iter(holder.last)
    yield from zip(offsets, offsets, strict=True)


def _inner(data: bytes, holder: _Node, index: int, start: int, stop: int, signal: Signal | None) -> _Node | None:
    """The array in an element that can be cut."""
    if holder.elements:
        return holder.elements[index].inner
    if signal is not Signal.METRICS:
        return None
    metric = _scan(data, start, stop, _METRIC, Bounds(0, 0, 0))
    return metric.inner.inner if metric is not None and metric.inner is not None else None
