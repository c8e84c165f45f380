"""Decompresses HTTP bodies under a limit: never more than the limit plus one step is in memory."""

import zlib
from typing import Final

import zstandard

ACCEPTED: Final = "gzip, deflate, zstd"

_ALIASES: Final = {"x-gzip": "gzip"}
_KNOWN: Final = frozenset({"gzip", "deflate", "zstd"})
# More than two codings have no practical use.
_MOST_CODINGS: Final = 2
# Concatenated members are valid, but millions of empty ones would only waste CPU time.
_MOST_MEMBERS: Final = 4096
_ZLIB_STEP: Final = 64 * 1024
# zstd limits a step's output only by its input: at worst 128 KiB for every 4 bytes, so 32 MiB a step.
_ZSTD_STEP: Final = 1024
# The maximum window by RFC 9659.
_ZSTD_WINDOW: Final = 8 * 1024 * 1024


class UnknownCoding(ValueError):  # noqa: N818 (named for the reported state)
    """An unsupported content coding, or too many codings."""


class CorruptBody(ValueError):  # noqa: N818
    """The body is not valid in its content coding, or is incomplete."""


class OverLimit(ValueError):  # noqa: N818
    """The body inflates to more than is allowed."""


def codings(header: str) -> tuple[str, ...]:
    """The codings of a Content-Encoding value in the order they were applied. Raises UnknownCoding."""
    listed = (name.strip().lower() for name in header.split(","))
    applied = tuple(_ALIASES.get(name, name) for name in listed if name not in ("", "identity", "none"))
    for name in applied:
        if name not in _KNOWN:
            raise UnknownCoding(f"content coding {name[:40]!r} is not supported; use one of {ACCEPTED}, or none")
    if len(applied) > _MOST_CODINGS:
        raise UnknownCoding(f"{len(applied)} content codings on one body; at most {_MOST_CODINGS} are supported")
    return applied


def inflate(body: bytes, applied: tuple[str, ...], limit: int) -> bytes:
    """The decompressed ``body``, every stage limited to ``limit`` bytes. Raises CorruptBody or OverLimit."""
    for coding in reversed(applied):
        if coding == "gzip":
            body = _inflate_zlib(body, 31, limit, most_members=_MOST_MEMBERS)
        elif coding == "deflate":
            body = _inflate_deflate(body, limit)
        else:
            body = _inflate_zstd(body, limit)
    return body


def _inflate_deflate(body: bytes, limit: int) -> bytes:
    # "deflate" means zlib's framing, but some clients omit it.
    framed = len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    if framed:
        try:
            return _inflate_zlib(body, 15, limit, most_members=1)
        except CorruptBody as error:
            try:
                return _inflate_zlib(body, -15, limit, most_members=1)
            except CorruptBody:
                raise error from None
    return _inflate_zlib(body, -15, limit, most_members=1)


def _inflate_zlib(body: bytes, window_bits: int, limit: int, *, most_members: int) -> bytes:
    out: list[bytes] = []
    room = limit
    view = memoryview(body)
    at = 0
    for _ in range(most_members):
        member = zlib.decompressobj(window_bits)
        while not member.eof:
            step = view[at : at + _ZLIB_STEP]
            if not step:
                raise CorruptBody("the compressed body ends too early")
            try:
                inflated = member.decompress(step, room + 1)
            except zlib.error as error:
                raise CorruptBody(f"the body cannot be decompressed: {error}") from error
            room -= len(inflated)
            if room < 0:
                raise OverLimit(f"the body inflates to more than {limit:,} bytes")
            out.append(inflated)
            at += len(step) - len(member.unused_data)
        if at == len(body):
            return b"".join(out)
    raise CorruptBody("the compressed body has data after its end, or too many members")


def _inflate_zstd(body: bytes, limit: int) -> bytes:
    out: list[bytes] = []
    room = limit
    view = memoryview(body)
    at = 0
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    for _ in range(_MOST_MEMBERS):
        frame = decompressor.decompressobj()
        while not frame.eof:
            step = view[at : at + _ZSTD_STEP]
            if not step:
                raise CorruptBody("the compressed body ends too early")
            try:
                inflated = frame.decompress(step)
            except zstandard.ZstdError as error:
                raise CorruptBody(f"the body cannot be decompressed: {error}") from error
            room -= len(inflated)
            if room < 0:
                raise OverLimit(f"the body inflates to more than {limit:,} bytes")
            out.append(inflated)
            at += len(step) - len(frame.unused_data)
        if at == len(body):
            return b"".join(out)
    raise CorruptBody("the compressed body has too many frames")
