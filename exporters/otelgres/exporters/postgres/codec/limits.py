"""Size limits of one item: what exceeds them is cut or omitted and counted as dropped; other items are not affected.

The defaults are far above normal telemetry; 0 means no limit. They are checked only for new or long values, so that
ordinary items cost nothing extra.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from otelgres.exporters.outline import Bounds
from otelgres.exporters.postgres.codec.anyvalue import MAX_DEPTH, MalformedError, Repairs, fields


@dataclass(frozen=True, slots=True)
class Limits:
    """``items`` and ``groups`` per request and ``parts`` per item (a request with more is rejected), ``attributes`` per
    item, ``events`` and links per span, bytes of a key, a value and a text (names, bodies, messages); ``nesting`` of a
    value, at most :data:`MAX_DEPTH`."""

    items: int = 500_000
    groups: int = 20_000
    parts: int = 131_072
    attributes: int = 2048
    events: int = 4096
    key_bytes: int = 256 * 1024
    value_bytes: int = 1024 * 1024
    text_bytes: int = 4 * 1024 * 1024
    nesting: int = MAX_DEPTH

    @property
    def outermost(self) -> int:
        """The initial depth of a value: it reaches :data:`MAX_DEPTH` at the limit."""
        return max(0, MAX_DEPTH - self.nesting) if self.nesting else 0

    @property
    def outline(self) -> Bounds:
        """What is counted before a request is parsed."""
        return Bounds(self.items, self.groups, self.parts)

    @property
    def shortest(self) -> int:
        """A KeyValue of at most this many bytes is within the limits of key and value."""
        return min(self.key_bytes or _ENDLESS, self.value_bytes or _ENDLESS)


_ENDLESS: Final = 1 << 62
_LEAST_ROOM: Final = 64 * 1024
_LOST: Final = frozenset(
    {"attributes_dropped", "events_dropped", "links_dropped", "value_dropped", "key_cut", "value_cut", "text_cut"}
)


def effect_of(reason: str) -> str:
    """``dropped`` for data removed by these limits, ``repaired`` for every other change."""
    return "dropped" if reason in _LOST else "repaired"


def cut_pair(raw: bytes, limits: Limits, repairs: Repairs) -> bytes:
    """KeyValue bytes cut to the limits. Invalid bytes are returned unchanged; the parser reports them."""
    key = b""
    value: list[tuple[int, int]] = []
    try:
        for number, wire, start, end in fields(raw):
            if number <= 2 and wire != 2:
                return raw
            if number == 1:
                key = raw[start:end]
            elif number == 2:
                value.append((start, end))
        cut = Repairs()
        if limits.key_bytes and len(key) > limits.key_bytes:
            key = cut_text(key, limits.key_bytes)
            cut["key_cut"] += 1
        # Not copied if it is one, as always: it may be as large as the request.
        begin, size = value[0] if len(value) == 1 else (0, None)
        held = raw if len(value) == 1 else b"".join([raw[start:end] for start, end in value])
        shorter = _cut(held, limits.value_bytes, cut, "value_cut", begin, size) if limits.value_bytes else None
    except MalformedError:
        return raw
    if not cut:
        return raw
    repairs += cut
    return _framed(b"\x0a", key) + _framed(b"\x12", held[begin:size] if shorter is None else shorter)


def within(raws: Iterator[bytes], limits: Limits) -> tuple[list[bytes], bytes | None]:
    """The first of a resource's, scope's, metric's or series' KeyValues, of two values' length together; and the first
    one beyond. ``raws`` goes on with the next.

    Their content is hashed and compared as a whole, which takes many times its size.
    """
    room = max(2 * limits.value_bytes, _LEAST_ROOM) if limits.value_bytes else _ENDLESS
    kept: list[bytes] = []
    for raw in raws:
        room -= len(raw)
        if room < 0:
            return kept, raw
        kept.append(raw)
    return kept, None


def cut_value(raw: bytes, most: int, repairs: Repairs) -> bytes:
    """AnyValue bytes of a log body, cut to ``most`` bytes. Invalid bytes are returned unchanged."""
    try:
        shorter = _cut(raw, most, repairs, "text_cut")
    except MalformedError:
        return raw
    return raw if shorter is None else shorter


def cut_text(raw: bytes, most: int) -> bytes:
    """At most the first ``most`` bytes, without splitting a character."""
    end = most
    # A character has at most three bytes after its first.
    while end > max(0, most - 3) and end < len(raw) and raw[end] & 0xC0 == 0x80:
        end -= 1
    return raw[:end]


def _cut(data: bytes, most: int, repairs: Repairs, reason: str, at: int = 0, end_at: int | None = None) -> bytes | None:
    """The AnyValue from ``at`` to ``end_at`` cut to ``most`` bytes; None if it is within.

    Decided on the wire, since a large structure is not parsed to be dropped.
    """
    kind = first = last = size = 0
    for number, wire, start, end in fields(data, at, end_at):
        if number <= 7:
            # A repeated list is merged; of everything else the last value counts.
            size = (size if number == kind and number in (5, 6) else 0) + (end - start if wire == 2 else 0)
            kind, first, last = number, start, end
    if size <= most:
        return None
    if kind in (1, 7):
        repairs[reason] += 1
        # With the next character, which shows whether one is split.
        text = data[first : min(last, first + most + 4)]
        return _framed(bytes((kind << 3 | 2,)), cut_text(text, most) if kind == 1 else text[:most])
    # A part of a structure would be a different structure: it is removed as a whole.
    repairs["value_dropped"] += 1
    return b""


def _framed(tag: bytes, content: bytes) -> bytes:
    size = len(content)
    out = bytearray(tag)
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out) + content
