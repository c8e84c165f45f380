"""What can still be read of a spool segment that SQLite refuses or reads short: rows found page by page.

SQLite gives up a whole file for one bad byte in its header, a whole subtree for one in an inner page, and all that
follows a bad frame of the write-ahead log, without a word. Every row carries a checksum, so that it can be taken
from whatever page it is found on: https://www.sqlite.org/fileformat2.html. Refuses to know what the payloads say.
"""

import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

PAGE_BYTES: Final = 4096
_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_FRAME: Final = _FRAME_HEADER + PAGE_BYTES
# With the page size and versions: at another number there, SQLite takes the file for one of the future.
_MAGIC: Final = b"SQLite format 3\0" + PAGE_BYTES.to_bytes(2) + b"\2\2\0\x40\x20\x20"
_TABLE_LEAF: Final = 0x0D
_TREE: Final = (_TABLE_LEAF, 0x05)
_SMALLEST_ROW: Final = 16
_LARGEST_LOCAL: Final = PAGE_BYTES - 35
_SMALLEST_LOCAL: Final = (PAGE_BYTES - 12) * 32 // 255 - 23
_OVERFLOW_BYTES: Final = PAGE_BYTES - 4
# Serial types of integers: bytes.
_INTEGERS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class Row(NamedTuple):
    """A row whose checksum is right."""

    id: int
    at: float
    signal: str
    payload: bytes


class Salvaged(NamedTuple):
    """Rows after the drained ones, in order, and how many more there were: at least 1 if that cannot be told."""

    rows: list[Row]
    lost: int


def damage_of(database: Path) -> str | None:
    """What SQLite would refuse, or worse, not see, of a segment that nobody has open. Raises OSError."""
    with database.open("rb") as file:
        header = file.read(len(_MAGIC))
    log = _log_of(database)
    if header and not header.startswith(_MAGIC):
        return "its header is damaged"
    return "its write-ahead log is damaged" if _cut_short(log) else None


def salvage(database: Path, missed: int | None = None) -> Salvaged:
    """Everything that can be had from a segment and its write-ahead log; ``missed``: a row that SQLite did not find.

    Raises OSError.
    """
    log = _log_of(database)
    images = _images(database, log)
    rows: dict[tuple[int, int], Row] = {}
    seen: set[int] = set()
    known = {1}
    drained = 0
    for number, kept in images.items():
        for image in kept:
            for rowid, record in _records(image, images, known):
                values = _values(record)
                if len(values) == 1 and isinstance(values[0], int):
                    drained = max(drained, drained_of(values[0]))
                elif len(values) == 5:  # id, at, signal, crc, payload
                    # The checksum of nothing is 0, which is too easily met by chance: nobody spools nothing.
                    seen.add(rowid)
                    _, at, signal, crc, payload = values
                    if (
                        isinstance(signal, str)
                        and isinstance(payload, bytes)
                        and payload
                        and (checksum := zlib.crc32(payload)) == crc
                    ):
                        known.add(number)
                        rows[rowid, checksum] = Row(rowid, at if isinstance(at, float) else 0.0, signal, payload)
    found = sorted((row for row in rows.values() if row.id > drained), key=lambda row: row.id)
    # Rows are numbered without gaps; more than this do not fit, so that a larger number is damage itself.
    most = len(images) * PAGE_BYTES // _SMALLEST_ROW
    ids = {row.id for row in found if row.id <= most}
    last = max(ids, default=drained)
    lost = last - drained - len(ids)
    while last + 1 in seen:
        last, lost = last + 1, lost + 1
    strange = any(number not in known and kept[-1][0] not in _TREE for number, kept in images.items())
    ends_well = not _cut_short(log) or any(
        rowid == last for page in _last_commit(log) for rowid, _ in _records(page, images, known)
    )
    if not lost and (strange or not ends_well or (missed is not None and missed not in ids)):
        lost = 1
    return Salvaged(found, lost)


def _cut_short(log: bytes) -> bool:
    """Whether the log has a commit that SQLite does not see, because something before it, or itself, is damaged.

    The beginning of a transaction that never was committed is none.
    """
    salts, state = _salts(log)
    order = _order(log)
    good = state is not None
    for frame in _frames(log):
        if len(frame) < _FRAME or frame[8:16] != salts:
            continue
        if good and state is not None:
            state = _checksum(frame[_FRAME_HEADER:], order, _checksum(frame[:8], order, state))
            good = struct.pack(">II", *state) == frame[16:24]
        if not good and frame[4:8] != bytes(4):
            return True
    return False


def _last_commit(log: bytes) -> list[bytes]:
    """The pages of the last transaction, if they are as they were written: a frame's checksum goes on from the last."""
    salts, _ = _salts(log)
    order = _order(log)
    pages: list[bytes] = []
    whole = True
    ended = False
    before = log[24:_WAL_HEADER]
    for frame in _frames(log):
        if len(frame) < _FRAME or frame[8:16] != salts:
            continue
        if ended:
            pages, whole = [], True
        first, second = struct.unpack(">II", before)
        state = _checksum(frame[_FRAME_HEADER:], order, _checksum(frame[:8], order, (first, second)))
        before, ended = frame[16:24], frame[4:8] != bytes(4)
        whole = whole and struct.pack(">II", *state) == before
        pages.append(frame[_FRAME_HEADER:])
    return pages if whole and ended else []


def sealed(drained: int) -> int:
    """The number with a checksum of its own: a flipped bit in it would skip batches that nobody has stored."""
    return drained << 32 | zlib.crc32(struct.pack(">Q", drained))


def drained_of(stored: int) -> int:
    """The number that was sealed; 0 if it is damaged. What is then drained again is recognised by its digest."""
    drained = stored >> 32
    return drained if stored >= 0 and sealed(drained) == stored else 0


def _images(database: Path, log: bytes) -> dict[int, list[bytes]]:
    """Every page by its number, in every state in which it is still to be found; the latest is the last."""
    images: defaultdict[int, list[bytes]] = defaultdict(list)
    content = database.read_bytes()
    for place in range(0, len(content) - PAGE_BYTES + 1, PAGE_BYTES):
        images[place // PAGE_BYTES + 1].append(content[place : place + PAGE_BYTES])
    salts, _ = _salts(log)
    # Those of an earlier round of the log come first: they were in the database once and may be so no more.
    for ours in (False, True):
        for frame in _frames(log):
            if len(frame) == _FRAME and (frame[8:16] == salts) is ours:
                images[int.from_bytes(frame[:4])].append(frame[_FRAME_HEADER:])
    return images


def _log_of(database: Path) -> bytes:
    path = database.with_name(database.name + "-wal")
    return path.read_bytes() if path.exists() else b""


def _frames(log: bytes) -> Iterator[bytes]:
    for place in range(_WAL_HEADER, len(log), _FRAME):
        yield log[place : place + _FRAME]


def _salts(log: bytes) -> tuple[bytes, tuple[int, int] | None]:
    """What marks the frames of this round of the log, and the checksum that the first one goes on from.

    Where the log's own header is damaged: as the first frame has it, and None.
    """
    header = log[:_WAL_HEADER]
    state = _checksum(header[:24], _order(log))
    if struct.pack(">II", *state) == header[24:]:
        return header[16:24], state
    return log[_WAL_HEADER + 8 : _WAL_HEADER + 16], None


def _order(log: bytes) -> str:
    return ">" if log[3:4] == b"\x83" else "<"


def _checksum(data: bytes, order: str, state: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    first, second = state
    for one, other in struct.iter_unpack(order + "II", data[: len(data) // 8 * 8]):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return first, second


def _records(page: bytes, images: dict[int, list[bytes]], followed: set[int]) -> Iterator[tuple[int, bytes]]:
    """(rowid, record) of each cell on a page of rows; a record is as long as it could be read.

    Adds the pages on which records go on to ``followed``.
    """
    count = int.from_bytes(page[3:5])
    places = [int.from_bytes(page[place : place + 2]) for place in range(8, min(8 + 2 * count, PAGE_BYTES - 1), 2)]
    sound = [place for place in places if 8 + 2 * count <= place < PAGE_BYTES]
    # The mark of a page of rows may be what is damaged. Pages on which a record goes on begin with 0.
    if page[0] != _TABLE_LEAF and (page[0] == 0 or len(sound) < count):
        return
    for place in sound:
        length, place = _varint(page, place)
        rowid, place = _varint(page, place)
        if length > (len(images) + 1) * PAGE_BYTES:
            continue
        local = length
        if length > _LARGEST_LOCAL:
            local = _SMALLEST_LOCAL + (length - _SMALLEST_LOCAL) % _OVERFLOW_BYTES
            local = local if local <= _LARGEST_LOCAL else _SMALLEST_LOCAL
        parts = [page[place : place + local]]
        missing = length - local
        following = int.from_bytes(page[place + local : place + local + 4])
        while missing > 0 and following in images:
            followed.add(following)
            overflow = images[following][-1]
            parts.append(overflow[4 : 4 + missing])
            missing -= _OVERFLOW_BYTES
            following = int.from_bytes(overflow[:4])
        yield rowid, b"".join(parts)


def _values(record: bytes) -> list[int | float | str | bytes | None]:
    """The columns of a record; empty if it is none."""
    end, place = _varint(record, 0)
    types: list[int] = []
    while place < end <= len(record):
        kind, place = _varint(record, place)
        types.append(kind)
    values: list[int | float | str | bytes | None] = []
    place = end
    for kind in types:
        size = _INTEGERS.get(kind, 8 if kind == 7 else (kind - 12) // 2 if kind >= 12 else 0)
        content = record[place : place + size]
        place += size
        if kind in _INTEGERS:
            values.append(int.from_bytes(content, signed=True))
        elif kind == 7 and len(content) == size:
            values.append(struct.unpack(">d", content)[0])
        elif kind in (8, 9):
            values.append(kind - 8)
        elif kind >= 12:
            values.append(content.decode("utf-8", "replace") if kind % 2 else content)
        else:
            values.append(None)
    return values


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of up to 9 bytes, and the place after it; the end of the data ends it."""
    value = 0
    for byte in data[place : place + 8]:
        place += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place
    if place < len(data):
        value, place = value << 8 | data[place], place + 1
    return value, place
