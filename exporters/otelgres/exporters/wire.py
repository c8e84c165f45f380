"""Reads the fields of an encoded protobuf message by their offsets, without building anything."""

from collections.abc import Iterator
from typing import Final

STRETCH: Final = 8192
"""Bytes of fields that are counted at once."""


class Malformed(ValueError):  # noqa: N818 (named after the answer to the client)
    """The bytes are not a protobuf message."""


def fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of the message from ``at`` to ``end``: (tag, offset of the field, of its content, of its end).

    A protobuf group is one field with the tag of its start. Raises Malformed, or IndexError at the end of ``data``.
    """
    while at < end:
        field = at
        tag = data[at]
        at += 1
        if tag > 0x7F:
            tag, at = varint(data, field)
        wire = tag & 7
        if wire == 2:
            length = data[at]
            at += 1
            if length > 0x7F:
                length, at = varint(data, at - 1)
            content, at = at, at + length
        elif wire == 0:
            content = at
            while data[at] > 0x7F:
                at += 1
            at += 1
            if at - content > 10:
                raise Malformed("oversized varint")
        elif wire == 1:
            content, at = at, at + 8
        elif wire == 5:
            content, at = at, at + 4
        elif wire == 3:
            content, at = at, _after_group(data, at, end, tag >> 3)
        else:
            raise Malformed(f"wire type {wire}")
        if tag < 8:
            raise Malformed("field number 0")
        if at > end:
            raise Malformed("truncated field")
        yield tag, field, content, at


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The varint at ``at`` and the offset after it. Raises Malformed or IndexError."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise Malformed("oversized varint")


def runs(data: bytes, at: int, end: int, tag: int, most: int = STRETCH) -> Iterator[tuple[int, int, int]]:
    """The fields of the message from ``at`` to ``end``: how many, and the offsets of the first and after the last.

    Those with this one-byte ``tag`` come several at once, up to about ``most`` bytes and half as many, if they have
    less than 16 KiB each. Other fields come one by one, with 0 for their number. Raises as :func:`fields`.
    """
    while at < end:
        start = at
        count, at = run(data, at, min(end, at + most), tag)
        if at > end:
            raise Malformed("truncated field")
        if not count:
            found, _, _, at = next(fields(data, start, end))
            count = found == tag
        yield count, start, at


def run(data: bytes, at: int, stop: int, tag: int) -> tuple[int, int]:
    """How many fields with this tag and less than 16 KiB follow one another, to the first that begins after ``stop``;
    and the offset after them. Raises IndexError at the end of ``data``.
    """
    count = 0
    while at < stop and data[at] == tag:
        length = data[at + 1]
        if length < 0x80:
            at += length + 2
        else:
            high = data[at + 2]
            if high > 0x7F:
                break
            at += length + (high << 7) - 125
        count += 1
    return count, at


def _after_group(data: bytes, at: int, end: int, number: int) -> int:
    # Without recursion: a group may contain groups.
    open_groups = [number]
    while open_groups:
        start = at
        if start >= end:
            raise Malformed("truncated group")
        tag, at = varint(data, at)
        if tag & 7 == 3:
            if len(open_groups) >= 100:
                raise Malformed("more than 100 nested groups")
            open_groups.append(tag >> 3)
        elif tag & 7 == 4:
            if open_groups.pop() != tag >> 3:
                raise Malformed("the end of another group")
        else:
            _, _, _, at = next(fields(data, start, end))
        if at > end:
            raise Malformed("truncated field")
    return at
