"""Size limits of one item: what exceeds them is cut or omitted and counted as dropped; other items are not affected.

The defaults are far above normal telemetry; 0 means no limit. They are checked only for new or long values, so that
ordinary items cost nothing extra.
"""

from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from otelgres.exporters.outline import Bounds
from otelgres.exporters.postgres.codec.anyvalue import MAX_DEPTH, Repairs


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
_LOST: Final = frozenset(
    {"attributes_dropped", "events_dropped", "links_dropped", "value_dropped", "key_cut", "value_cut", "text_cut"}
)


def effect_of(reason: str) -> str:
    """``dropped`` for data removed by these limits, ``repaired`` for every other change."""
    return "dropped" if reason in _LOST else "repaired"


def cut_pair(raw: bytes, limits: Limits, repairs: Repairs) -> bytes:
    """KeyValue bytes cut to the limits. Invalid bytes are returned unchanged; the parser reports them."""
    try:
        pair = KeyValue.FromString(raw)
    except DecodeError:
        return raw
    if limits.key_bytes and len(pair.key.encode()) > limits.key_bytes:
        pair.key = cut_text(pair.key.encode(), limits.key_bytes).decode()
        repairs["key_cut"] += 1
    if limits.value_bytes:
        _cut(pair.value, limits.value_bytes, repairs, "value_cut")
    return bytes(pair.SerializeToString())


def cut_value(raw: bytes, most: int, repairs: Repairs) -> bytes:
    """AnyValue bytes of a log body, cut to ``most`` bytes."""
    try:
        value = AnyValue.FromString(raw)
    except DecodeError:
        return raw
    _cut(value, most, repairs, "text_cut")
    return bytes(value.SerializeToString())


def cut_text(raw: bytes, most: int) -> bytes:
    """At most the first ``most`` bytes, without splitting a character."""
    return raw[:most].decode(errors="ignore").encode()


def _cut(value: AnyValue, most: int, repairs: Repairs, reason: str) -> None:
    kind = value.WhichOneof("value")
    if kind == "string_value" and len(value.string_value.encode()) > most:
        value.string_value = cut_text(value.string_value.encode(), most).decode()
    elif kind == "bytes_value" and len(value.bytes_value) > most:
        value.bytes_value = value.bytes_value[:most]
    elif kind in ("array_value", "kvlist_value") and value.ByteSize() > most:
        # A part of a structure would be a different structure: it is removed as a whole.
        value.Clear()
        reason = "value_dropped"
    else:
        return
    repairs[reason] += 1
