"""The outline of an export request, read on the wire: its groups, items and the parts of its large items.

A message of two bytes takes hundreds in memory once it is parsed, so a request is counted before anything is built, in
constant memory. Ordinary items are not entered: one of at most :data:`SMALL` bytes has few parts whatever it holds.
"""

from dataclasses import dataclass
from typing import Final

from otelgres.exporters.batch import Signal
from otelgres.exporters.scope_counts import scope_counts
from otelgres.exporters.wire import STRETCH, Malformed, fields, run

SMALL: Final = 64 * 1024
"""Bytes of an item, resource or scope that is not entered."""

_ENDLESS: Final = 1 << 62
# Bytes of a scope group that protobuf counts, which takes a tenth of the time and up to 20 times as much memory.
_PARSED: Final = 256 * 1024
# With a number of steps: what such a group takes, in steps and bytes of a step, and its most bytes if it has metrics.
_PARSED_STEPS, _PARSED_STEP, _PARSED_METRICS = 4, 128, 64 * 1024
# Steps of a group, of a metric, and of a field that is neither of them nor an item.
_GROUP_STEPS, _METRIC_STEPS, _OTHER_STEPS = 8, 4, 2
# Fields beside the parts that are counted: an attribute has two, a group its resource and schema URL.
_OTHERS: Final = 8
_CONTINUED: Final = bytes(range(128, 256))


class TooManyParts(ValueError):  # noqa: N818
    """The request has more groups, items or parts than the bounds allow; the message says what to do."""


def too_many_groups(most: int) -> TooManyParts:
    """The error for a request with more than ``most`` groups."""
    return TooManyParts(f"the request has more than the limit of {most:,} resource and scope groups: split it")


def too_many_items(seen: int, most: int) -> TooManyParts:
    """The error for a request of which so many items have been ``seen``."""
    return TooManyParts(f"the request has at least {seen:,} items, more than the limit of {most:,}: split it")


@dataclass(frozen=True, slots=True)
class Bounds:
    """``items`` and ``groups`` (resource and scope groups together) of a request; ``parts`` of one item: messages and
    packed numbers. 0 means no limit."""

    items: int = 500_000
    groups: int = 20_000
    parts: int = 131_072


DEFAULT_BOUNDS: Final = Bounds()


@dataclass(slots=True)
class Outline:
    """Spans, log records or points of a request; its metrics; its resource and scope groups."""

    items: int = 0
    metrics: int = 0
    groups: int = 0

    @property
    def parts(self) -> int:
        """All of them."""
        return self.items + self.metrics + self.groups


# The parts of OTLP's messages that may repeat, by field number: the message that the field holds, or how its numbers
# are packed. Other fields are not parsed into anything larger than they are.
_VARINTS, _EIGHT_BYTES = "varints", "eight bytes"
_PARTS: Final[dict[str, dict[int, str]]] = {
    "Resource": {1: "KeyValue", 3: "EntityRef"},
    "EntityRef": {3: "string", 4: "string"},
    "Scope": {3: "KeyValue"},
    "KeyValue": {2: "AnyValue"},
    "AnyValue": {5: "List", 6: "Map"},
    "List": {1: "AnyValue"},
    "Map": {1: "KeyValue"},
    "Span": {9: "KeyValue", 11: "Event", 13: "Link", 15: "string"},
    "Event": {3: "KeyValue"},
    "Link": {4: "KeyValue"},
    "LogRecord": {5: "AnyValue", 6: "KeyValue"},
    "Metric": {12: "KeyValue"},
    "NumberDataPoint": {5: "Exemplar", 7: "KeyValue"},
    "HistogramDataPoint": {6: _EIGHT_BYTES, 7: _EIGHT_BYTES, 8: "Exemplar", 9: "KeyValue"},
    "ExponentialHistogramDataPoint": {1: "KeyValue", 8: "Buckets", 9: "Buckets", 11: "Exemplar"},
    "Buckets": {2: _VARINTS},
    "SummaryDataPoint": {6: "string", 7: "KeyValue"},
    "Exemplar": {7: "KeyValue"},
    "string": {},
}
_ITEMS: Final = {Signal.TRACES: "Span", Signal.LOGS: "LogRecord", Signal.METRICS: "Metric"}
POINTS: Final = {
    5: "NumberDataPoint",
    7: "NumberDataPoint",
    9: "HistogramDataPoint",
    10: "ExponentialHistogramDataPoint",
    11: "SummaryDataPoint",
}
"""The data fields of a Metric, and the message of their points."""


def outline(signal: Signal, payload: bytes, bounds: Bounds, steps: int = 0) -> Outline | None:
    """The outline of an encoded request, or None if it takes more than ``steps`` steps (0: any number) to find out.

    Raises Malformed or TooManyParts. A step takes less than a microsecond; an item is one, a group some. What takes
    more, such as a large item, is not entered with a number of steps, and the answer is None.
    """
    counting = _Counting(signal, payload, bounds, steps)
    try:
        counting.request()
    except IndexError:
        raise Malformed("truncated field") from None
    except _TooLong:
        return None
    return counting.found


class _TooLong(Exception):  # noqa: N818 (never leaves this module)
    pass


class _Counting:
    """One walk over a request."""

    def __init__(self, signal: Signal, data: bytes, bounds: Bounds, steps: int) -> None:
        self.found = Outline()
        self._signal = signal
        self._data = data
        self._bounds = bounds
        self._limited = bool(steps)
        self._steps = steps or _ENDLESS
        # A part has two bytes or more, or one if it is a packed number: a smaller item has not too many of them.
        self._entered = max(SMALL, 2 * bounds.parts) if bounds.parts else _ENDLESS
        self._parsed = min(_PARSED, self._entered)
        if steps and signal is Signal.METRICS:
            self._parsed = min(_PARSED_METRICS, self._parsed)
        self._others = _OTHERS * bounds.groups or _ENDLESS

    def request(self) -> None:
        for tag, _, start, end in fields(self._data, 0, len(self._data)):
            if tag == 10:
                self._group(start, end)
            else:
                self._other()

    def _other(self, count: int = 1) -> None:
        """Counts fields that are no groups and no items: there are a few of each message."""
        self._others -= count
        self._steps -= count * _OTHER_STEPS
        if self._others < 0:
            most = _OTHERS * self._bounds.groups
            raise TooManyParts(f"the request has more than {most:,} fields around its items: split it")
        if self._steps < 0:
            raise _TooLong

    def _group(self, at: int, end: int) -> None:
        self._add_group()
        for tag, _, start, stop in fields(self._data, at, end):
            if tag == 18:
                self._add_group()
                self._scope(start, stop)
            else:
                self._other()
                if tag == 10 and stop - start > self._entered:
                    self._parts("Resource", start, stop, "a resource")

    def _add_group(self) -> None:
        self.found.groups += 1
        self._steps -= _GROUP_STEPS
        if self._steps < 0:
            raise _TooLong
        most = self._bounds.groups
        if most and self.found.groups > most:
            raise too_many_groups(most)

    def _scope(self, at: int, end: int) -> None:
        data = self._data
        metrics = self._signal is Signal.METRICS
        if end - at <= self._parsed:
            counts = scope_counts(self._signal, data[at:end], self._steps // _METRIC_STEPS)
            if counts is not None:
                self._steps -= _PARSED_STEPS + (end - at) // _PARSED_STEP + counts.metrics * _METRIC_STEPS
                self.found.metrics += counts.metrics
                self._other(counts.others)
                self._add_items(counts.items)
                return
        if metrics and self._limited:
            raise _TooLong
        while at < end:
            if not metrics:
                items, at = run(data, at, min(end, at + STRETCH), 18)
                if at > end:
                    raise Malformed("truncated field")
                self._add_items(items)
                if items:
                    continue
            tag, _, start, at = next(fields(data, at, end))
            if tag != 18:
                self._other()
                if tag == 10 and at - start > self._entered:
                    self._parts("Scope", start, at, "a scope")
            elif metrics:
                self.found.metrics += 1
                self._metric(start, at)
            else:
                self._add_items(1)
                if at - start > self._entered:
                    self._parts(_ITEMS[self._signal], start, at, "an item")

    def _add_items(self, items: int) -> None:
        self.found.items += items
        self._steps -= items
        if self._steps < 0:
            raise _TooLong
        most = self._bounds.items
        if most and max(self.found.items, self.found.metrics) > most:
            raise too_many_items(max(self.found.items, self.found.metrics), most)

    def _metric(self, at: int, end: int) -> None:
        data = self._data
        large = end - at > self._entered
        self._add_items(0)
        for tag, _, start, stop in fields(data, at, end):
            if large:
                self._other()
            if tag & 7 == 2 and tag >> 3 in POINTS:
                self._points(tag >> 3, start, stop, large=large)
        if large:
            self._parts("Metric", at, end, "a metric")

    def _points(self, number: int, at: int, end: int, *, large: bool) -> None:
        data = self._data
        while at < end:
            points, at = run(data, at, min(end, at + STRETCH), 10)
            if at > end:
                raise Malformed("truncated field")
            self._add_items(points)
            if points:
                continue
            tag, _, start, at = next(fields(data, at, end))
            if tag == 10:
                self._add_items(1)
                if at - start > self._entered:
                    self._parts(POINTS[number], start, at, "a point")
            elif large:
                self._other()

    def _parts(self, message: str, at: int, end: int, what: str) -> None:
        """Counts the parts of one large message, without recursion."""
        if self._limited:
            raise _TooLong
        data, most = self._data, self._bounds.parts or _ENDLESS
        left, others = most, _OTHERS * most
        waiting = [(message, at, end)]
        while waiting:
            message, at, end = waiting.pop()
            known = _PARTS[message]
            for tag, _, start, stop in fields(data, at, end):
                part = known.get(tag >> 3)
                if part is None:
                    others -= 1
                    if others < 0:
                        raise TooManyParts(f"{what} has more than {_OTHERS * most:,} fields: split it")
                    continue
                wire = tag & 7
                left -= 1
                if wire == 2:
                    if part is _EIGHT_BYTES:
                        left -= (stop - start) // 8
                    elif part is _VARINTS:
                        # The last byte of each varint is below 128.
                        length = stop - start
                        left -= length if length > 10 * most else len(data[start:stop].translate(None, _CONTINUED))
                    elif _PARTS[part]:
                        waiting.append((part, start, stop))
                if left < 0:
                    raise TooManyParts(
                        f"{what} has more than the limit of {most:,} parts (attributes, values, events, links, "
                        "exemplars, buckets): send fewer"
                    )
