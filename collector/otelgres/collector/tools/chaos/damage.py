"""Damages spool files while no receiver has them open, and records which batches must be lost.

The lost batches are found by comparing bytes, not by the reader that is under test. A file is damaged only once: after
a second damage the lost batches could not be determined.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from otelgres.collector.tools.chaos.items import ItemKind, kinds_and_numbers
from otelgres.collector.tools.chaos.ledger import SentLedger
from otelgres.exporters.batch import Batch
from otelgres.exporters.spool.files import spool_files
from otelgres.exporters.spool.records import (
    COUNT_OFFSET,
    HEAD_BYTES,
    HEADER_BYTES,
    MARK,
    SETTLED_OFFSET,
    Entry,
    count_in,
    entry_at,
)

_PAGE: Final = 4096
_Change = Callable[[random.Random, bytearray], None]


class SpoolDamage:
    """Of the receivers' folders below ``parent``."""

    def __init__(self, parent: Path, ledger: SentLedger) -> None:
        self._parent = parent
        self._ledger = ledger
        self._damaged: set[str] = set()

    def damage_one_file(self, rng: random.Random) -> str:
        """Damages one file, if there is one with something in it; returns what was done, or ""."""
        paths = [path for folder in self._parent.iterdir() if folder.is_dir() for path in spool_files(folder)]
        paths = [path for path in paths if path.name not in self._damaged and path.stat().st_size > HEADER_BYTES]
        if not paths:
            return ""
        path = rng.choice(sorted(paths))
        before = path.read_bytes()
        found = _records(before, bytes.fromhex(path.stem.rpartition("-")[2]))
        name, change = rng.choice(sorted(_CHANGES.items()))
        after = bytearray(before)
        change(rng, after)
        # Of the same length: written in place, so that a full disk does not matter.
        with path.open("r+b") as file:
            file.write(after)
            file.truncate()
        self._damaged.add(path.name)
        for entry in found:
            if _must_be_lost(entry, before, after):
                batch = Batch(entry.signal, before[entry.payload_at : entry.end])
                self._ledger.damaged([] if entry.settled else _items(batch))
        return f"spool damaged: {name}"


def _items(batch: Batch) -> list[tuple[ItemKind, int]]:
    try:
        return kinds_and_numbers(batch)
    except DecodeError:  # malformed when it was sent, and kept for the ledger
        return []


def _records(data: bytes, key: bytes) -> list[Entry]:
    """The records that were acknowledged, of a file that was not damaged before."""
    found = []
    at = HEADER_BYTES
    for _ in range(count_in(data[:HEADER_BYTES], key) or 0):
        entry = entry_at(data, at, key, at)
        assert entry is not None
        found.append(entry)
        at = entry.end
    return found


def _must_be_lost(entry: Entry, before: bytes, after: bytearray) -> bool:
    mark = entry.offset + SETTLED_OFFSET
    # Of a settled record the head is enough to know that it is safe.
    if entry.settled and before[entry.offset : entry.payload_at] in after:
        return False
    # All of the record but the field that says whether it is settled. A stretch that was copied may hold it elsewhere.
    rest = before[mark + 4 : entry.end]
    at = after.find(rest)
    while at >= 0:
        if after[at - 4 - SETTLED_OFFSET : at - 4] == MARK:
            return False
        at = after.find(rest, at + 1)
    return True


def _flip(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.randint(1, 3)):
        data[rng.randrange(HEADER_BYTES, len(data))] ^= rng.randrange(1, 256)


def _flip_header(rng: random.Random, data: bytearray) -> None:
    data[rng.randrange(COUNT_OFFSET)] ^= rng.randrange(1, 256)


def _zero(rng: random.Random, data: bytearray) -> None:
    at = max(HEADER_BYTES, rng.randrange(len(data)) // _PAGE * _PAGE)
    end = min(len(data), at - at % _PAGE + _PAGE)
    data[at:end] = bytes(end - at)


def _repeat(rng: random.Random, data: bytearray) -> None:
    start, to = (rng.randrange(HEADER_BYTES, len(data)) for _ in range(2))
    piece = data[start : start + rng.randrange(1, 3 * _PAGE)]
    data[to : to + len(piece)] = piece


def _append(rng: random.Random, data: bytearray) -> None:
    data += rng.choice((bytes(_PAGE), rng.randbytes(500), data[HEADER_BYTES : HEADER_BYTES + HEAD_BYTES * 3]))


def _truncate(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(HEADER_BYTES, len(data)) :]


_CHANGES: Final[dict[str, _Change]] = {
    "bytes flipped": _flip,
    "header flipped": _flip_header,
    "page zeroed": _zero,
    "stretch repeated": _repeat,
    "garbage appended": _append,
    "truncated": _truncate,
}
