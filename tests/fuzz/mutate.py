"""Inputs from inputs: bytes turned, cut and spliced, and protobuf taken apart where its own structure is."""

import random
from collections.abc import Callable, Sequence
from typing import TypeAlias

Mutator: TypeAlias = Callable[[bytes, Sequence[bytes], random.Random], bytes]
_MOST = 8192
_NUMBERS = (
    b"\x00",
    b"\x01",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\xff\xff\xff\xff\x07",
    b"\x80\x80\x80\x80\x08",
    b"\x00" * 8,
    b"\xff" * 8,
    b"\x00\x00\x00\x00\x00\x00\xf8\x7f",
)
_TOKENS = (
    b"null",
    b"true",
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b"\\u0000",
    b"\\ud800",
    b"\\",
    b"1e400",
    b"-0",
    b"0.1",
    b"9223372036854775808",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"NaN",
    b'"traceId":',
    b'"":',
    b",",
    b":",
    b"\xef\xbb\xbf",
)
_LINES = (
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Content-Encoding: gzip, gzip\r\n",
    b"Content-Encoding: zstd\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"HTTP/9.9",
    b"\x00",
    b" ",
    b":",
    b"ffffffffffffffff\r\n",
    b"Content-Type: text/plain\r\n",
    b"Authorization: Bearer x\r\n",
    b"Origin: null\r\n",
)


def raw(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Some changes of bytes."""
    return _some(data, others, rng, _NUMBERS)


def text(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Some changes of bytes and of what JSON is made of."""
    return _some(data, others, rng, _TOKENS)


def lines(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Some changes of bytes and of what HTTP is made of."""
    return _some(data, others, rng, _LINES)


def wire(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Changes within the structure of protobuf: lengths stay right unless they are what is changed."""
    if rng.random() < 0.3:
        return raw(data, others, rng)
    for _ in range(rng.randint(1, 3)):
        data = _field(data, rng, 0)
    return data[:_MOST]


def _some(data: bytes, others: Sequence[bytes], rng: random.Random, tokens: Sequence[bytes]) -> bytes:
    buffer = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        at = rng.randrange(len(buffer) + 1)
        match rng.randrange(7):
            case 0 if buffer:
                buffer[at % len(buffer)] ^= 1 << rng.randrange(8)
            case 1 if buffer:
                buffer[at % len(buffer)] = rng.randrange(256)
            case 2:
                del buffer[at : at + rng.choice((1, 2, 8, 40))]
            case 3:
                buffer[at:at] = rng.choice(tokens)
            case 4:
                token = rng.choice(tokens)
                buffer[at : at + len(token)] = token
            case 5:
                other = rng.choice(others)
                start = rng.randrange(len(other) + 1)
                buffer[at:at] = other[start : start + rng.randrange(1, 64)]
            case _:
                buffer[at:at] = buffer[at : at + rng.randrange(1, 32)] * rng.randrange(1, 4)
    return bytes(buffer[:_MOST])


def _field(data: bytes, rng: random.Random, depth: int) -> bytes:
    fields = _fields(data)
    if not fields:
        return data + rng.choice(_NUMBERS)
    tag_at, start, end, kind = rng.choice(fields)
    if kind == 2 and depth < 8 and rng.random() < 0.75:
        body = data[start:end]
        inner = _field(body, rng, depth + 1) if rng.random() < 0.8 else _some(body, [body or b"x"], rng, _TOKENS)
        return data[:tag_at] + _key(data, tag_at) + _varint(len(inner)) + inner + data[end:]
    match rng.randrange(6):
        case 0:
            return data[:tag_at] + data[end:]
        case 1:
            return data[:end] + data[tag_at:end] * rng.randrange(1, 4) + data[end:]
        case 2:
            return data[:tag_at] + _varint((rng.randrange(1, 60) << 3) | rng.randrange(6)) + data[start:]
        case 3 if kind == 0:
            return data[:start] + rng.choice(_NUMBERS) + data[end:]
        case 4:
            other = rng.choice(fields)
            return data[:tag_at] + data[other[0] : other[2]] + data[end:]
        case _:
            return data[:start] + rng.randbytes(rng.randrange(9)) + data[end:]


def _key(data: bytes, at: int) -> bytes:
    end = at
    while data[end] & 0x80:
        end += 1
    return data[at : end + 1]


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _fields(data: bytes) -> list[tuple[int, int, int, int]]:
    """(offset of the key, begin and end of the value, wire type) for as long as it makes sense."""
    found = []
    at = 0
    while at < len(data):
        begin = at
        key, at = _read(data, at)
        kind = key & 7
        start = at
        if kind == 0:
            _, at = _read(data, at)
        elif kind == 1:
            at += 8
        elif kind == 5:
            at += 4
        elif kind == 2:
            length, at = _read(data, at)
            start = at
            at += length
        else:
            break
        if at > len(data) or key == 0:
            break
        found.append((begin, start, at, kind))
    return found


def _read(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return 0, len(data) + 1
