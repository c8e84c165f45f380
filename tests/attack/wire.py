"""Protobuf's wire format, written by hand: what no library would send."""

from collections.abc import Sequence


def varint(value: int) -> bytes:
    """An unsigned integer as a varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, content: bytes) -> bytes:
    """A field with a length: a message, a string or packed numbers."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def fixed64(number: int, value: int) -> bytes:
    """A fixed64 field."""
    return varint(number << 3 | 1) + value.to_bytes(8, "little")


def inside(path: Sequence[int], content: bytes) -> bytes:
    """``content`` in a message in a message …: ``path`` has the field numbers from the outermost on."""
    for number in reversed(path):
        content = field(number, content)
    return content


def nested(path: Sequence[int], depth: int, content: bytes = b"") -> bytes:
    """``content`` inside of ``depth`` repetitions of ``path``."""
    return inside([*path] * depth, content)


def filled(unit: bytes, size: int) -> bytes:
    """As many ``unit`` as ``size`` bytes hold."""
    return unit * (size // len(unit))
