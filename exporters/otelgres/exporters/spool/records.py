"""The bytes of a spool file: a header, then one record for each batch.

header   ``otelgres spool 1`` and a newline
record   ``F7 4F 47 52`` · state (``P`` pending, ``S`` sent, ``R`` refused) · signal (``t``, ``m``, ``l``) ·
         length and CRC-32 of signal and payload (big-endian, 4 bytes each) · payload (OTLP protobuf, as it was sent)

The state is outside the checksum: it is the one byte that changes. A damaged or torn record costs itself: reading goes
on at the next mark whose checksum is right. Refuses to know files.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from otelgres.exporters.batch import Batch, Signal

HEADER: Final = b"otelgres spool 1\n"
PENDING: Final = b"P"
SENT: Final = b"S"
REFUSED: Final = b"R"
_STATES: Final = frozenset({PENDING, SENT, REFUSED})
_MARK: Final = b"\xf7OGR"
_HEAD: Final = struct.Struct(">4sccII")
_STATE_OFFSET: Final = len(_MARK)
_TAGS: Final = {Signal.TRACES: b"t", Signal.METRICS: b"m", Signal.LOGS: b"l"}
_SIGNALS: Final = {tag: signal for signal, tag in _TAGS.items()}


@dataclass(frozen=True, slots=True)
class SpoolRecord:
    """A whole record; ``state_at`` is the offset of its state in the file."""

    state_at: int
    state: bytes
    batch: Batch


@dataclass(frozen=True, slots=True)
class DamagedRecord:
    """A stretch that is no record: a torn tail, or what a bad disk made of one or more."""

    offset: int
    length: int


def encode(batch: Batch) -> bytes:
    """A pending record."""
    tag = _TAGS[batch.signal]
    crc = zlib.crc32(batch.payload, zlib.crc32(tag))
    return _HEAD.pack(_MARK, PENDING, tag, len(batch.payload), crc) + batch.payload


def decode(data: bytes) -> Iterator[SpoolRecord | DamagedRecord]:
    """What is in a file with our header, in order."""
    position = len(HEADER)
    damaged_from = -1
    while position < len(data):
        record = _record_at(data, position)
        if record is None:
            if damaged_from < 0:
                damaged_from = position
            found = data.find(_MARK, position + 1)
            position = found if found >= 0 else len(data)
            continue
        if damaged_from >= 0:
            yield DamagedRecord(damaged_from, position - damaged_from)
            damaged_from = -1
        yield record
        position += _HEAD.size + len(record.batch.payload)
    if damaged_from >= 0:
        yield DamagedRecord(damaged_from, len(data) - damaged_from)


def _record_at(data: bytes, position: int) -> SpoolRecord | None:
    if len(data) - position < _HEAD.size:
        return None
    mark, state, tag, length, crc = _HEAD.unpack_from(data, position)
    start = position + _HEAD.size
    if mark != _MARK or state not in _STATES or tag not in _SIGNALS or len(data) - start < length:
        return None
    payload = data[start : start + length]
    if zlib.crc32(payload, zlib.crc32(tag)) != crc:
        return None
    return SpoolRecord(position + _STATE_OFFSET, state, Batch(_SIGNALS[tag], payload))
