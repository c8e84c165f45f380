"""Reads a spool file, even if it is damaged. Memory is limited by a chunk and the number of records.

Records are read one after another. After damage, reading continues at the next mark with correct checksums. Records are
numbered, so that duplicates are recognised and missing records can be counted.
"""

import errno
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from otelgres.exporters.batch import Batch
from otelgres.exporters.spool.records import (
    HEAD_BYTES,
    HEADER_BYTES,
    MARK,
    Entry,
    count_in,
    entry_at,
    is_beginning,
    key_in,
    other_version,
)

_CHUNK_BYTES: Final = 1 << 20
# Unreadable parts of a disk are skipped in blocks of this size.
_BLOCK_BYTES: Final = 4096


@dataclass(slots=True)
class Contents:
    """The contents of a file.

    ``key`` is None if it is not a spool file; ``entries`` are the intact records by number. ``lost`` is the number of
    missing records: exact if the header is intact, else at least 1 if there are traces of more. ``damaged_bytes`` are
    not part of an intact record; a write cut off by the end of its process is not damage. ``version`` is that of the
    format if it is not the one read here. ``incomplete`` is a file that ends within its header: it contains nothing.
    """

    key: bytes | None
    entries: list[Entry] = field(default_factory=list)
    lost: int = 0
    damaged_bytes: int = 0
    header_damaged: bool = False
    version: str = ""
    incomplete: bool = False

    @property
    def damaged(self) -> bool:
        """Whether anything differs from what was written."""
        return bool(self.lost or self.damaged_bytes or self.header_damaged)


def read_contents(descriptor: int, key_of_name: bytes | None) -> Contents:
    """Reads the whole file open at ``descriptor``. Raises OSError if it cannot be read now."""
    source = _Source(descriptor, os.fstat(descriptor).st_size)
    start = source.read(0, HEADER_BYTES)
    if version := other_version(start):
        return Contents(None, version=version)
    key = key_in(start) or key_of_name
    if is_beginning(start):
        return Contents(key or b"", incomplete=True)
    if key is None:
        return Contents(None)
    count = count_in(start, key)
    found = Contents(key, header_damaged=key_in(start) is None or count is None)
    whole, heads = _records(source, key, found)
    if found.header_damaged or found.damaged_bytes or len(whole) != count:
        whole, heads = _records(source, key, found, everywhere=True)
    if found.header_damaged and not whole and not heads:
        return Contents(None)
    found.entries = [whole[number] for number in sorted(whole)]
    end = max((entry.end for entry in whole.values()), default=HEADER_BYTES)
    last = max(whole, default=-1)
    if _is_cut_off(source, end, key, count):
        found.damaged_bytes -= source.size - end
        heads -= {entry.number for entry in [_entry(source, end, key)] if entry}
    elif count is None and end < source.size and max(heads, default=-1) <= last:
        last += 1  # There are unknown bytes after the last record.
    known = max(last, *heads, -1) + 1 if count is None else max(last + 1, count)
    found.lost = max(0, known - len(whole))
    return found


def _records(
    source: "_Source", key: bytes, found: Contents, *, everywhere: bool = False
) -> tuple[dict[int, Entry], set[int]]:
    """The intact records by number, and the numbers of heads with a damaged payload.

    With ``everywhere`` it also searches inside records: a misplaced copy may overlap an intact record.
    """
    whole: dict[int, Entry] = {}
    heads: set[int] = set()
    at = covered = HEADER_BYTES
    found.damaged_bytes = 0
    while at < source.size:
        entry = _entry(source, at, key)
        following = -1
        if entry and _is_whole(source, entry):
            # A second copy of a record is damage, not another batch.
            if entry.number not in whole:
                whole[entry.number] = entry
                covered = max(covered, entry.end)
                following = -1 if everywhere else entry.end
        elif entry and entry.settled:
            whole.setdefault(entry.number, entry)  # stored elsewhere, so the damage does not matter
        elif entry:
            heads.add(entry.number)
        if following < 0:
            following = source.find(MARK, at + 1)
            found.damaged_bytes += max(0, following - max(at, covered))
        at = following
    return whole, heads - whole.keys()


def read_batch(descriptor: int, entry: Entry) -> Batch | None:
    """The batch of a record; None if it is damaged. Raises OSError if it cannot be read now."""
    payload = _Source(descriptor, entry.end).read(entry.payload_at, entry.length)
    if len(payload) != entry.length or zlib.crc32(payload) != entry.checksum:
        return None
    return Batch(entry.signal, payload)


def _is_cut_off(source: "_Source", at: int, key: bytes, count: int | None) -> bool:
    """Whether the bytes after the last intact record are an incomplete write that was not acknowledged."""
    if at >= source.size:
        return False
    entry = _entry(source, at, key)
    if entry is None:
        return source.size - at < HEAD_BYTES and source.read(at, len(MARK)) == MARK[: source.size - at]
    return entry.end > source.size and (count is None or entry.number >= count)


def _entry(source: "_Source", at: int, key: bytes) -> Entry | None:
    return entry_at(source.read(at, HEAD_BYTES), 0, key, at)


def _is_whole(source: "_Source", entry: Entry) -> bool:
    if entry.end > source.size:
        return False
    checksum = 0
    for part in source.parts(entry.payload_at, entry.length):
        checksum = zlib.crc32(part, checksum)
    return checksum == entry.checksum


class _Source:
    """The bytes of a file, with one chunk in memory."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.size = size
        self._descriptor = descriptor
        self._chunk = b""
        self._chunk_at = 0

    def read(self, at: int, length: int) -> bytes:
        """``length`` bytes, or fewer at the end of the file."""
        length = max(0, min(length, self.size - at))
        inside = at - self._chunk_at
        if not (inside >= 0 and inside + length <= len(self._chunk)):
            self._chunk = _read(self._descriptor, at, min(max(length, _CHUNK_BYTES), self.size - at))
            self._chunk_at, inside = at, 0
        return self._chunk[inside : inside + length]

    def parts(self, at: int, length: int) -> Iterator[bytes]:
        """The same bytes as ``read``, in pieces."""
        end = at + length
        while at < end:
            part = self.read(at, min(_CHUNK_BYTES, end - at))
            if not part:
                return
            yield part
            at += len(part)

    def find(self, what: bytes, at: int) -> int:
        """The position of the next ``what``; the end of the file if there is none."""
        while at < self.size:
            if not 0 <= at - self._chunk_at < len(self._chunk) - len(what):
                self.read(at, _CHUNK_BYTES)
            place = self._chunk.find(what, at - self._chunk_at)
            if place >= 0:
                return self._chunk_at + place
            end = self._chunk_at + len(self._chunk)
            if end >= self.size:
                return self.size
            at = end - len(what) + 1
        return self.size


def _read(descriptor: int, at: int, length: int) -> bytes:
    parts: list[bytes] = []
    while length > 0:
        os.lseek(descriptor, at, os.SEEK_SET)
        try:
            part = os.read(descriptor, length)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            # A bad block: read around it, and replace it by zeros.
            block = _BLOCK_BYTES - at % _BLOCK_BYTES
            part = _read(descriptor, at, block) if length > block else bytes(length)
        if not part:
            break
        parts.append(part)
        at += len(part)
        length -= len(part)
    return b"".join(parts)
