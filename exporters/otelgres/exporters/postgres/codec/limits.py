"""How much of one item is stored: what is beyond is cut or left out, counted as dropped, and costs no neighbour.

The defaults are far beyond what telemetry looks like; 0 is no limit. Looked at only where something is new or long, so
that the usual item does not pay. Refuses to know rows and settings.
"""

from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from otelgres.exporters.postgres.codec.anyvalue import MAX_DEPTH, Repairs


@dataclass(frozen=True, slots=True)
class Limits:
    """``items`` of one request (beyond, all of it is refused), ``attributes`` of one item, ``events`` and links of one
    span, bytes of a key, of a value, and of a text (names, bodies, messages); ``nesting`` of a value, :data:`MAX_DEPTH`
    at most."""

    items: int = 500_000
    attributes: int = 2048
    events: int = 4096
    key_bytes: int = 256 * 1024
    value_bytes: int = 1024 * 1024
    text_bytes: int = 4 * 1024 * 1024
    nesting: int = MAX_DEPTH

    @property
    def outermost(self) -> int:
        """The depth at which a value begins, for it to be at :data:`MAX_DEPTH` where the limit is."""
        return max(0, MAX_DEPTH - self.nesting) if self.nesting else 0

    @property
    def shortest(self) -> int:
        """A KeyValue of no more bytes than this is within the limits of key and value."""
        return min(self.key_bytes or _ENDLESS, self.value_bytes or _ENDLESS)


_ENDLESS: Final = 1 << 62
_LOST: Final = frozenset(
    {"attributes_dropped", "events_dropped", "links_dropped", "value_dropped", "key_cut", "value_cut", "text_cut"}
)


def effect_of(reason: str) -> str:
    """``dropped`` for what these limits take away, ``repaired`` for every other change."""
    return "dropped" if reason in _LOST else "repaired"


def cut_pair(raw: bytes, limits: Limits, repairs: Repairs) -> bytes:
    """KeyValue bytes within the limits. What is no KeyValue comes back as it is, for whoever takes it apart."""
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
    """AnyValue bytes of a body within ``most`` bytes."""
    try:
        value = AnyValue.FromString(raw)
    except DecodeError:
        return raw
    _cut(value, most, repairs, "text_cut")
    return bytes(value.SerializeToString())


def cut_text(raw: bytes, most: int) -> bytes:
    """The first ``most`` bytes, or a few less: no character is cut in two."""
    return raw[:most].decode(errors="ignore").encode()


def _cut(value: AnyValue, most: int, repairs: Repairs, reason: str) -> None:
    kind = value.WhichOneof("value")
    if kind == "string_value" and len(value.string_value.encode()) > most:
        value.string_value = cut_text(value.string_value.encode(), most).decode()
    elif kind == "bytes_value" and len(value.bytes_value) > most:
        value.bytes_value = value.bytes_value[:most]
    elif kind in ("array_value", "kvlist_value") and value.ByteSize() > most:
        # Half a tree is another tree.
        value.Clear()
        reason = "value_dropped"
    else:
        return
    repairs[reason] += 1
