"""The hashes by which rows of dimensions are identified."""

import hashlib
from collections.abc import Iterable
from typing import Final
from uuid import UUID

_PIECE: Final = 64 * 1024


def digest_of(raws: Iterable[bytes]) -> tuple[int, bytes]:
    """The number of KeyValues, and their digest."""
    digest = hashlib.sha256()
    count = 0
    for raw in raws:
        digest.update(b"%d " % len(raw))
        digest.update(raw)
        count += 1
    return count, digest.digest()


def content_hash(canonical: bytes, *parts: object) -> UUID:
    """The identity of a dimension row: its canonical attributes and its other columns."""
    # repr of bytes, ints, bools, None and str is unambiguous: different contents give different texts.
    if len(canonical) <= _PIECE:
        digest = hashlib.sha256(repr((canonical, *parts)).encode())
    else:
        # The same in pieces, since a large repr and what it is made of are four times as large together.
        digest = hashlib.sha256(b"(")
        text = repr(canonical)
        for start in range(0, len(text), _PIECE):
            digest.update(text[start : start + _PIECE].encode())
        digest.update((", " + repr(parts)[1:]).encode())
    return UUID(bytes=digest.digest()[:16])
