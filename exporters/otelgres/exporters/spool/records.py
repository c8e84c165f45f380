"""The format of a spool file: a header, then one record for each batch. Does no input or output.

header   ``otelgres spool 2`` and a newline · key (8 random bytes) · CRC-32 of these · count · CRC-32 of key and count
record   ``F7 4F 47 52`` · settled (4 bytes) · signal (``t``, ``m``, ``l``) · number · time (8 bytes, nanoseconds since
         1970) · length and CRC-32 of the payload · CRC-32 of key and head · payload (OTLP protobuf, as it was sent)

Numbers are big-endian, of 4 bytes unless stated otherwise. Records are numbered from 0; ``count`` is the number of
complete records. So a reader can detect missing and repeated records. The key is also in the file's name and part of
every checksum: bytes that look like a record inside a payload, or come from another file, do not count as records.

Two fields change later: the count, and ``settled``, which is zero until the batch is stored elsewhere. Any value other
than the correct one means "not settled": the batch is then sent again and recognised as a duplicate.
"""

import os
import re
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from otelgres.exporters.batch import Batch, Signal

KEY_BYTES: Final = 8
MARK: Final = b"\xf7OGR"
_MAGIC: Final = b"otelgres spool 2\n"
_VERSION: Final = re.compile(rb"otelgres spool ([0-9][0-9.]{0,9})\n")
_CRC: Final = struct.Struct(">I")
_COUNT: Final = struct.Struct(">II")
COUNT_OFFSET: Final = len(_MAGIC) + KEY_BYTES + _CRC.size
HEADER_BYTES: Final = COUNT_OFFSET + _COUNT.size
_BODY: Final = struct.Struct(">cIQII")
SETTLED_OFFSET: Final = len(MARK)
_BODY_OFFSET: Final = SETTLED_OFFSET + 4
_CRC_OFFSET: Final = _BODY_OFFSET + _BODY.size
HEAD_BYTES: Final = _CRC_OFFSET + _CRC.size
_PENDING: Final = bytes(4)
_TAGS: Final = {Signal.TRACES: b"t", Signal.METRICS: b"m", Signal.LOGS: b"l"}
_SIGNALS: Final = {tag: signal for signal, tag in _TAGS.items()}


@dataclass(frozen=True, slots=True)
class Entry:
    """The position and head of a record. ``written_at`` is in nanoseconds since 1970."""

    number: int
    offset: int
    length: int
    written_at: int
    signal: Signal
    checksum: int
    settled: bool = False

    @property
    def payload_at(self) -> int:
        """The offset of the payload."""
        return self.offset + HEAD_BYTES

    @property
    def end(self) -> int:
        """The offset of the byte after the record."""
        return self.offset + HEAD_BYTES + self.length


def new_key() -> bytes:
    """A random key."""
    return os.urandom(KEY_BYTES)


def header(key: bytes, count: int = 0) -> bytes:
    """The header of a file."""
    start = _MAGIC + key
    return start + _CRC.pack(zlib.crc32(start)) + count_field(key, count)


def count_field(key: bytes, count: int) -> bytes:
    """The field at COUNT_OFFSET after ``count`` records."""
    return _COUNT.pack(count, zlib.crc32(_CRC.pack(count), zlib.crc32(key)))


def key_in(start: bytes) -> bytes | None:
    """The key in the first bytes of a file; None if the header is not intact."""
    key = start[len(_MAGIC) : len(_MAGIC) + KEY_BYTES]
    return key if start[:COUNT_OFFSET] == header(key)[:COUNT_OFFSET] else None


def other_version(start: bytes) -> str:
    """The format's version, such as "3", if the first bytes are of a file in another format than this; else ""."""
    found = _VERSION.match(start)
    if found is None or start.startswith(_MAGIC):
        return ""
    # If the other bytes of the header are as this format writes them, the version is a damaged byte.
    key = start[len(_MAGIC) : len(_MAGIC) + KEY_BYTES]
    intact = start[len(_MAGIC) : COUNT_OFFSET] == header(key)[len(_MAGIC) : COUNT_OFFSET]
    return "" if intact else found[1].decode("ascii")


def count_in(start: bytes, key: bytes) -> int | None:
    """The number of records by the first bytes of a file; None if the field is damaged."""
    field = start[COUNT_OFFSET:HEADER_BYTES]
    if len(field) < _COUNT.size:
        return None
    count: int = _COUNT.unpack(field)[0]
    return count if field == count_field(key, count) else None


def is_beginning(start: bytes) -> bool:
    """Whether ``start`` may be the whole content of a file whose process ended while it wrote the header."""
    return len(start) < HEADER_BYTES and (start[: len(_MAGIC)] == _MAGIC[: len(start)])


def encode(batch: Batch, number: int, written_at: int, key: bytes) -> bytes:
    """A pending record."""
    body = _BODY.pack(_TAGS[batch.signal], number, written_at, len(batch.payload), zlib.crc32(batch.payload))
    return MARK + _PENDING + body + _CRC.pack(zlib.crc32(body, zlib.crc32(key))) + batch.payload


def settled_field(number: int, key: bytes) -> bytes:
    """The field at SETTLED_OFFSET of a settled record: never zero, and different for each record."""
    return _CRC.pack(zlib.crc32(_CRC.pack(number) + b"settled", zlib.crc32(key)) or 1)


def entry_at(data: bytes, position: int, key: bytes, offset: int) -> Entry | None:
    """The record with its head at ``position`` in ``data``, at ``offset`` in the file; None if it is not a record."""
    if len(data) - position < HEAD_BYTES or not data.startswith(MARK, position):
        return None
    body = data[position + _BODY_OFFSET : position + _CRC_OFFSET]
    (checksum,) = _CRC.unpack_from(data, position + _CRC_OFFSET)
    if zlib.crc32(body, zlib.crc32(key)) != checksum:
        return None
    tag, number, written_at, length, payload_checksum = _BODY.unpack(body)
    if tag not in _SIGNALS:
        return None
    settled = data[position + SETTLED_OFFSET : position + _BODY_OFFSET] == settled_field(number, key)
    return Entry(number, offset, length, written_at, _SIGNALS[tag], payload_checksum, settled)
