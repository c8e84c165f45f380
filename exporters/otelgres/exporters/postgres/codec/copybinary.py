"""PostgreSQL's binary COPY format, field by field: https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4

A field is its length as int32 followed by its bytes; NULL is the length -1.
"""

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
NULL: Final = b"\xff\xff\xff\xff"

# PostgreSQL's epoch, 2000-01-01, in microseconds of Unix time.
PG_EPOCH_US: Final = 946_684_800_000_000

_LENGTH = struct.Struct(">i").pack
_INT2 = struct.Struct(">ih").pack
_INT4 = struct.Struct(">ii").pack
_INT8 = struct.Struct(">iq").pack
_FLOAT8 = struct.Struct(">id").pack
_ARRAY_HEADER = struct.Struct(">iiiIii").pack
_INT8_OID, _FLOAT8_OID = 20, 701
_EIGHT = _LENGTH(8)


def text(data: bytes) -> bytes:
    """A text, bytea or uuid field from its bytes."""
    return _LENGTH(len(data)) + data


def jsonb(data: bytes) -> bytes:
    """A jsonb field from JSON text."""
    return _LENGTH(len(data) + 1) + b"\x01" + data


def int2(value: int) -> bytes:
    """A smallint field."""
    return _INT2(2, value)


def int4(value: int) -> bytes:
    """An integer field."""
    return _INT4(4, value)


def int8(value: int) -> bytes:
    """A bigint field."""
    return _INT8(8, value)


def float8(value: float) -> bytes:
    """A double precision field."""
    return _FLOAT8(8, value)


def int8_array(values: Sequence[int]) -> bytes:
    """A bigint[] field."""
    return _array(values, _INT8_OID, "q")


def float8_array(values: Sequence[float]) -> bytes:
    """A double precision[] field."""
    return _array(values, _FLOAT8_OID, "d")


def int8_array_of(data: bytes) -> bytes:
    """A bigint[] field from little-endian bytes; at least one value."""
    return _array_of(data, _INT8_OID)


def float8_array_of(data: bytes) -> bytes:
    """A double precision[] field from little-endian bytes; at least one value."""
    return _array_of(data, _FLOAT8_OID)


def _array_of(data: bytes, oid: int) -> bytes:
    # Reversing all bytes makes every value big-endian; the pieces are then put back in order, without decoding numbers.
    size = len(data) // 8
    values = _pieces(size)(data[::-1])[::-1]
    return _ARRAY_HEADER(20 + 12 * size, 1, 0, oid, size, 1) + _EIGHT + _EIGHT.join(values)


def _array(values: Sequence[float], oid: int, code: str) -> bytes:
    size = len(values)
    if not size:
        return struct.pack(">iiiI", 12, 0, 0, oid)
    interleaved: list[float] = [8] * (2 * size)
    interleaved[1::2] = values
    return _ARRAY_HEADER(20 + 12 * size, 1, 0, oid, size, 1) + _members(code, size)(*interleaved)


@lru_cache(256)
def _members(code: str, size: int) -> Callable[..., bytes]:
    """A function that packs ``size`` pairs of length word and value."""
    return struct.Struct(">" + ("i" + code) * size).pack


@lru_cache(256)
def _pieces(size: int) -> Callable[[bytes], tuple[bytes, ...]]:
    return struct.Struct("8s" * size).unpack
