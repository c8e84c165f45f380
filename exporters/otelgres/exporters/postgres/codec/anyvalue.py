"""AnyValue and KeyValue bytes to JSON text that PostgreSQL's jsonb can store without loss.

Values that JSON can represent are written as JSON: text, true, null (an empty value), 42 (an int), 42.0 (a double has a
point), arrays, objects. All others become an object with one key that begins with ``$``:

=====================  ===========================================================================================
``{"$bytes": b}``      bytes, as base64
``{"$double": s}``     ``NaN``, ``Infinity``, ``-Infinity``, ``-0.0`` (repaired: not representable in jsonb)
``{"$string": s}``     text with U+0000, written as ``\\0``, and backslashes as ``\\\\`` (repaired)
``{"$utf8": b}``       a string that is not UTF-8, or long and mostly control characters, as base64 (repaired)
``{"$kvlist": [...]}`` pairs of key and value: a map with a duplicate key (repaired) or a key that begins with ``$``
``{"$anyvalue": b}``   a value nested deeper than :data:`MAX_DEPTH`, as base64 of its protobuf bytes (repaired)
=====================  ===========================================================================================

Everything can be read back. Repairs are counted by reason.
"""

import struct
from base64 import b64encode
from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Iterator
from typing import Final

import orjson

# Just above protobuf's own limit, which allows 47 nested arrays in an attribute.
MAX_DEPTH: Final = 48

# The wire type of each of AnyValue's fields, by number.
_WIRES: Final = (-1, 2, 0, 0, 1, 2, 2, 2)
_DOUBLE = struct.Struct("<d").unpack_from
_SPECIAL = {"nan": b"NaN", "inf": b"Infinity", "-inf": b"-Infinity", "-0.0": b"-0.0"}

_PIECE: Final = 64 * 1024
# Text may be escaped to twice its length and so many bytes.
_ESCAPED: Final = 1024

Repairs = Counter[str]


class MalformedError(ValueError):
    """The bytes are not a valid protobuf message of their type."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The varint at ``at`` and the offset after it. Raises :class:`MalformedError`."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise MalformedError("truncated or oversized varint")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7


def fields(data: bytes, at: int = 0, size: int | None = None) -> Iterator[tuple[int, int, int, int]]:
    """The fields of the message from ``at`` to ``size``: (number, wire type, start, end).

    The start of a varint is its value.

    A generator, because a message may contain millions of fields. Raises :class:`MalformedError`.
    """
    if size is None:
        size = len(data)
    while at < size:
        # Nearly every tag and length is one byte: calling varint for each would double the cost.
        tag = data[at]
        if tag < 0x80:
            at += 1
        else:
            tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise MalformedError("field number 0")
        if wire == 2:
            if at < size and data[at] < 0x80:
                length = data[at]
                at += 1
            else:
                length, at = varint(data, at)
            end = at + length
            start = at
        elif wire == 0:
            start, end = varint(data, at)
        elif wire == 1:
            start, end = at, at + 8
        elif wire == 5:
            start, end = at, at + 4
        else:
            # OTLP has never used groups.
            raise MalformedError(f"wire type {wire}")
        if end > size:
            raise MalformedError("truncated field")
        yield number, wire, start, end
        at = end


def string_json(raw: bytes, repairs: Repairs) -> bytes:
    """A protobuf string as JSON text: a JSON string, or ``{"$string": …}`` or ``{"$utf8": …}``."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        repairs["invalid_utf8"] += 1
        return b'{"$utf8":"' + b64encode(raw) + b'"}'
    if "\0" in text:
        repairs["nul_character"] += 1
        # Each takes three bytes: not tried where it cannot be short enough.
        if 2 * raw.count(b"\0") <= len(raw) + _ESCAPED:
            escaped = orjson.dumps(text.replace("\\", "\\\\").replace("\0", "\\0"))
            if len(escaped) <= 2 * len(raw) + _ESCAPED:
                return b'{"$string":' + escaped + b"}"
    else:
        escaped = orjson.dumps(text)
        if len(escaped) <= 2 * len(raw) + _ESCAPED:
            return escaped
        # Control characters take six bytes each.
        repairs["control_characters"] += 1
    return b'{"$utf8":"' + b64encode(raw) + b'"}'


def readable(raw: bytes) -> str:
    """The nearest text that PostgreSQL can store; of a long ``raw``, not much more than its length."""
    if len(raw) <= _PIECE:
        return raw.decode(errors="replace").replace("\0", "\ufffd")
    # In pieces, because each replaced byte takes three.
    decoder = getincrementaldecoder("utf-8")("replace")
    room = len(raw) + _PIECE
    pieces: list[str] = []
    for at in range(0, len(raw), _PIECE):
        piece = decoder.decode(raw[at : at + _PIECE], final=at + _PIECE >= len(raw)).replace("\0", "\ufffd")
        room -= len(piece.encode())
        if room < 0:
            break
        pieces.append(piece)
    return "".join(pieces)


def double_json(value: float, repairs: Repairs) -> bytes:
    """A double as JSON text that reads back as the same double and never as an int."""
    text = repr(value)
    if text in _SPECIAL:
        repairs["number_not_in_json"] += 1
        return b'{"$double":"' + _SPECIAL[text] + b'"}'
    if "e+" in text or ("e" in text and "e-" not in text):
        # jsonb prints 1e+16 as an integer: writing all digits and a point keeps it a double.
        return b"%.1f" % value
    return text.encode()


def any_value(data: bytes, repairs: Repairs, depth: int = 0, at: int = 0, size: int | None = None) -> bytes:
    """The AnyValue from ``at`` to ``size`` as JSON text. Raises :class:`MalformedError`.

    Of a nested value nothing is copied: at each level that would be its size once more.
    """
    if depth > MAX_DEPTH:
        repairs["nested_too_deep"] += 1
        return b'{"$anyvalue":"' + b64encode(data[at:size]) + b'"}'
    kind = begin = 0
    held: list[tuple[int, int]] = []
    for number, wire, start, end in fields(data, at, size):
        if number > 7:
            # string_value_strindex (8) is for profiles: it is ignored in other signals.
            continue
        if wire != _WIRES[number]:
            raise MalformedError(f"AnyValue field {number} with wire type {wire}")
        if wire == 2:
            # A repeated list is merged, as protobuf merges messages; of everything else the last value counts.
            if number != kind or number not in (5, 6):
                held = []
            held.append((start, end))
        kind, begin = number, start
    match kind:
        case 1:
            return string_json(data[slice(*held[0])], repairs)
        case 2:
            return b"true" if begin else b"false"
        case 3:
            return b"%d" % (begin - (1 << 64) if begin >> 63 else begin)
        case 4:
            return double_json(_DOUBLE(data, begin)[0], repairs)
        case 5:
            values = [any_value(data, repairs, depth + 1, start, end) for start, end in _members(data, held)]
            return b"".join((b"[", b",".join(values), b"]"))
        case 6:
            return kvlist([_pair(data, repairs, depth + 1, start, end) for start, end in _members(data, held)], repairs)
        case 7:
            return b'{"$bytes":"' + b64encode(data[slice(*held[0])]) + b'"}'
    return b"null"


def key_value(data: bytes, repairs: Repairs, depth: int = 0) -> tuple[bytes, bytes]:
    """KeyValue bytes as (key, value), both JSON text; the key may be a ``$`` object. Raises :class:`MalformedError`."""
    return _pair(data, repairs, depth, 0, len(data))


def _pair(data: bytes, repairs: Repairs, depth: int, at: int, size: int) -> tuple[bytes, bytes]:
    key = b""
    value: list[tuple[int, int]] = []
    for number, wire, start, end in fields(data, at, size):
        if number <= 2 and wire != 2:
            raise MalformedError(f"KeyValue field {number} with wire type {wire}")
        if number == 1:
            key = data[start:end]
        elif number == 2:
            value.append((start, end))
    if len(value) != 1:
        # Several are merged, as protobuf merges messages.
        merged = b"".join([data[start:end] for start, end in value])
        return string_json(key, repairs), any_value(merged, repairs, depth)
    return string_json(key, repairs), any_value(data, repairs, depth, *value[0])


def kvlist(pairs: list[tuple[bytes, bytes]], repairs: Repairs) -> bytes:
    """Pairs of JSON texts as one JSON value: an object if that loses nothing, else ``{"$kvlist": [...]}``."""
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        repairs["duplicate_key"] += 1
    elif all(plain_key(key) for key in keys):
        return b"{" + b",".join([key + b":" + value for key, value in pairs]) + b"}"
    return b'{"$kvlist":' + pairs_json(pairs) + b"}"


def plain_key(key: bytes) -> bool:
    """Whether this JSON text is a string that does not begin with ``$``, so that it can be a key of an object."""
    return key[:1] == b'"' and key[:2] != b'"$'


def pairs_json(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """Pairs of JSON texts as a JSON array of two-element arrays."""
    return b"[" + b",".join([b"[" + key + b"," + value + b"]" for key, value in pairs]) + b"]"


def _members(data: bytes, lists: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """All occurrences of field 1 of the parts of an ArrayValue or KeyValueList."""
    for begin, size in lists:
        for number, wire, start, end in fields(data, begin, size):
            if number == 1:
                if wire != 2:
                    raise MalformedError(f"list member with wire type {wire}")
                yield start, end
