"""Batches on disk while the database is away: appended and fsynced, read back in order, bounded in bytes.

A folder of SQLite files (segments); each row carries a checksum, and a segment that has been read through is deleted as
a file. Where SQLite cannot read a segment, or would read it short, its rows are taken from its pages. What was read but
not yet forgotten is read again after a crash: whoever takes the batches must recognise them (digests do). Refuses to
know why the database is away and what the payloads say.
"""

import hashlib
import logging
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from otelgres.collector.queue.sqlite_salvage import PAGE_BYTES, damage_of, drained_of, salvage, sealed
from otelgres.exporters.batch import Batch, Signal

log = logging.getLogger(__name__)

# A segment is the unit of deletion and of the worst corruption.
_SEGMENT_BYTES: Final = 64 * 1024 * 1024
# What the machine cannot do just now, be it for want of disk, memory or rights, says nothing about what is in a file.
_PASSING: Final = frozenset(
    (
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    )
)
# A bad spot on the disk stays one.
_UNREADABLE: Final = frozenset(
    (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS)
)
_BATCHES: Final = """CREATE TABLE batches (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, signal TEXT NOT NULL, crc INTEGER NOT NULL, payload BLOB NOT NULL)"""
_TABLES: Final = (_BATCHES, "CREATE TABLE state (drained INTEGER NOT NULL)")


class SpoolFull(Exception):  # noqa: N818 (named for what the sender is told)
    """There is no room: nothing of this append was kept."""


class Spooled(NamedTuple):
    """A batch read back, and where it stands: ``position`` grows in the order of arrival."""

    position: tuple[int, int]
    batch: Batch


class SpoolDamage(NamedTuple):
    """What was damaged: how many batches could not be read back, if any, and what was seen of it."""

    batches: int
    detail: str


class _SegmentMissing(sqlite3.DatabaseError):
    """A batch that must be there cannot be had by its number."""

    def __init__(self, position: int, why: str) -> None:
        super().__init__(why)
        self.position = position


class Spool:
    """One folder of spooled batches, for one process. Safe to use from several threads."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Opens what is there. Raises OSError when the folder cannot be used."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._sizes: dict[int, int] = {}
        self._open: dict[int, sqlite3.Connection] = {}
        self._damage: list[SpoolDamage] = []
        self._drained: dict[int, int] = {}
        self._told: set[tuple[int, int]] = set()
        # Rows of a damaged segment, instead of the file; positions count them from 1.
        self._salvaged: dict[int, list[tuple[float, Batch]]] = {}
        for path in sorted(folder.glob("*.sqlite")):
            if path.stem.isdigit():
                # After a kill most of it is still in the write-ahead log.
                parts = (path, path.with_name(path.name + "-wal"))
                self._sizes[int(path.stem)] = sum(part.stat().st_size for part in parts if part.exists())
        # What is there is only read: new batches go to a segment of their own, which no old damage can reach.
        self._unexamined = set(self._sizes)
        self._current = max(self._sizes, default=0) + 1

    @property
    def bytes(self) -> int:
        """Bytes held on disk."""
        return sum(self._sizes.values())

    @property
    def empty(self) -> bool:
        """Whether there is nothing left to read."""
        return not self._sizes

    def append(self, batches: Sequence[Batch]) -> None:
        """Keeps all of them, on disk when this returns. Raises :class:`SpoolFull`, and then keeps none."""
        size = sum(len(batch.payload) for batch in batches)
        now = time.time()
        with self._lock:
            if self.bytes + size > self._max_bytes:
                raise SpoolFull(f"the spool holds {self.bytes:,} of at most {self._max_bytes:,} bytes")
            try:
                connection = self._connection(self._current)
                with connection:
                    connection.executemany(
                        "INSERT INTO batches (at, signal, crc, payload) VALUES (?, ?, ?, ?)",
                        [(now, batch.signal.value, zlib.crc32(batch.payload), batch.payload) for batch in batches],
                    )
            except sqlite3.Error as error:
                # A full or failing disk. The transaction is undone; a broken connection is not used again.
                self._close(self._current)
                if not self._sizes.get(self._current):
                    self._delete(self._current)
                elif not _passes(error):
                    self._current += 1
                raise SpoolFull(f"the spool cannot be written: {error}") from error
            self._sizes[self._current] = self._sizes.get(self._current, 0) + size
            if self._sizes[self._current] >= _SEGMENT_BYTES:
                self._current += 1

    def read(self, max_bytes: int) -> list[Spooled]:
        """The oldest batches not forgotten yet, in order: at least one if any can be read, about ``max_bytes``."""
        with self._lock:
            for segment in sorted(self._sizes):
                try:
                    found = self._read_segment(segment, max_bytes)
                except sqlite3.Error as error:
                    self._close(segment)
                    log.warning("segment %d of the spool cannot be read now: %s; trying again later", segment, error)
                    continue
                if found:
                    return found
                self._finish(segment)
            return []

    def forget(self, through: tuple[int, int]) -> None:
        """Batches up to and including this position are safe elsewhere."""
        segment, position = through
        with self._lock:
            if segment not in self._sizes:
                return
            self._drained[segment] = position
            with suppress(sqlite3.Error):
                if segment not in self._salvaged:
                    with self._connection(segment) as connection:
                        connection.execute("UPDATE state SET drained = ?", (sealed(position),))
            with suppress(sqlite3.Error):
                if not self._read_segment(segment, 1):
                    self._finish(segment)

    def quarantine(self, spooled: Spooled) -> None:
        """Keeps a batch as a file of its own, which is never read again: it can then be forgotten. Raises OSError."""
        folder = self._folder / "quarantine"
        folder.mkdir(exist_ok=True, mode=0o700)
        # Named by content, so that doing it again after a crash makes no second file. Segment numbers are used anew.
        digest = hashlib.sha256(spooled.batch.payload).hexdigest()[:32]
        path = folder / f"{digest}.{spooled.batch.signal.value}"
        with path.open("wb") as file:
            file.write(spooled.batch.payload)
            file.flush()
            os.fsync(file.fileno())
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def quarantined(self) -> int:
        """How many batches were quarantined and lie there still."""
        return sum(1 for _ in (self._folder / "quarantine").glob("*"))

    def take_damage(self) -> list[SpoolDamage]:
        """What was found to be unreadable since the last call."""
        with self._lock:
            damage, self._damage = self._damage, []
            return damage

    def oldest_age(self) -> float:
        """Seconds since the oldest batch was spooled; 0 when there is none."""
        with self._lock:
            for segment in sorted(self._sizes):
                with suppress(sqlite3.Error):
                    self._examine(segment)
                    if segment in self._salvaged:
                        left = self._salvaged[segment][self._drained[segment] :]
                        if left:
                            return max(0.0, time.time() - left[0][0])
                        continue
                    row = self._connection(segment).execute(
                        "SELECT min(at) FROM batches WHERE id > ?", (self._position(segment),)
                    ).fetchone()  # fmt: skip
                    if row and row[0] is not None:
                        return max(0.0, time.time() - float(row[0]))
        return 0.0

    def close(self) -> None:
        """Closes the files; what they hold stays."""
        with self._lock:
            for segment in list(self._open):
                self._close(segment)

    def _read_segment(self, segment: int, max_bytes: int) -> list[Spooled]:
        """Raises sqlite3.Error when nothing can be read now that could be read later."""
        found: list[Spooled] = []
        size = 0
        try:
            for position, batch in self._rows(segment):
                found.append(Spooled((segment, position), batch))
                size += len(batch.payload)
                if size >= max_bytes:
                    break
        except sqlite3.Error as error:
            if found:
                return found
            if _passes(error):
                raise
            self._salvage(segment, str(error), error.position if isinstance(error, _SegmentMissing) else None)
            return self._read_segment(segment, max_bytes)
        return found

    def _rows(self, segment: int) -> Iterator[tuple[int, Batch]]:
        self._examine(segment)
        if segment in self._salvaged:
            drained = self._drained[segment]
            for position, (_, batch) in enumerate(self._salvaged[segment][drained:], drained + 1):
                yield position, batch
            return
        connection = self._connection(segment)
        position = self._position(segment)
        last = connection.execute("SELECT max(id) FROM batches").fetchone()[0] or 0
        while position < last:
            position += 1
            try:
                row = connection.execute(
                    "SELECT signal, crc, payload FROM batches WHERE id = ?", (position,)
                ).fetchone()  # fmt: skip
            except sqlite3.DatabaseError as error:
                raise error if _passes(error) else _SegmentMissing(position, str(error)) from error
            if row is None:
                raise _SegmentMissing(position, "a batch is not where it should be")
            if isinstance(row[2], bytes) and zlib.crc32(row[2]) == row[1] and row[0] in tuple(Signal):
                yield position, Batch(Signal(row[0]), row[2])
            elif (segment, position) not in self._told:
                self._told.add((segment, position))
                self._damage.append(SpoolDamage(1, f"batch {position} of segment {segment} is damaged"))

    def _examine(self, segment: int) -> None:
        """Before SQLite opens what another process has left: whether it would see all of it. Raises sqlite3.Error."""
        if segment not in self._unexamined:
            return
        try:
            damage = damage_of(self._path(segment))
        except OSError as error:
            raise _unavailable(error) from error
        if damage:
            self._salvage(segment, damage)
        self._unexamined.discard(segment)

    def _salvage(self, segment: int, why: str, missed: int | None = None) -> None:
        """Takes the rows off the pages into memory: a segment is small enough for that."""
        self._close(segment)
        try:
            rows, lost = salvage(self._path(segment), missed)
        except OSError as error:
            raise _unavailable(error) from error
        self._unexamined.discard(segment)
        self._current += segment == self._current
        known = [row for row in rows if row.signal in tuple(Signal)]
        self._salvaged[segment] = [(row.at, Batch(Signal(row.signal), row.payload)) for row in known]
        self._drained[segment] = 0
        told = sum(one == segment for one, _ in self._told)
        lost = max(0, lost + len(rows) - len(known) - told)
        self._damage.append(
            SpoolDamage(
                lost, f"segment {segment}: {why}; {len(known)} batches were read; kept as {segment:06d}.damaged"
            )
        )

    def _position(self, segment: int) -> int:
        if segment not in self._drained:
            row = self._connection(segment).execute("SELECT drained FROM state").fetchone()
            self._drained[segment] = drained_of(row[0]) if row and isinstance(row[0], int) else 0
        return self._drained[segment]

    def _connection(self, segment: int) -> sqlite3.Connection:
        if segment not in self._open:
            connection = sqlite3.connect(self._path(segment), check_same_thread=False, timeout=5)
            try:
                connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a new file; salvage counts on it
                connection.execute("PRAGMA journal_mode = WAL")
                # FULL makes each commit an fsync: only then may its sender be told that the batch is safe.
                connection.execute("PRAGMA synchronous = FULL")
                _prepare(connection)
            except sqlite3.Error:
                connection.close()
                raise
            except UnicodeDecodeError as error:
                # SQLite quotes a damaged schema in its message.
                connection.close()
                raise sqlite3.DatabaseError("its schema is damaged") from error
            self._open[segment] = connection
            self._sizes.setdefault(segment, 0)
        return self._open[segment]

    def _finish(self, segment: int) -> None:
        self._close(segment)
        if segment in self._salvaged:
            # For a person to look at.
            for end in ("", "-wal"):
                with suppress(OSError):
                    path = self._path(segment)
                    path.with_name(path.name + end).rename(self._folder / f"{segment:06d}.damaged{end}")
        self._delete(segment)
        if segment == self._current:
            self._current += 1

    def _close(self, segment: int) -> None:
        connection = self._open.pop(segment, None)
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _delete(self, segment: int) -> None:
        for path in (self._path(segment), *self._folder.glob(f"{segment:06d}.sqlite-*")):
            path.unlink(missing_ok=True)
        self._sizes.pop(segment, None)
        self._drained.pop(segment, None)
        self._salvaged.pop(segment, None)
        self._told = {one for one in self._told if one[0] != segment}

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:06d}.sqlite"


def _passes(error: sqlite3.Error) -> bool:
    # The low byte is the primary code; sqlite3's own errors (a closed connection) have none.
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _PASSING and code not in _UNREADABLE


def _prepare(connection: sqlite3.Connection) -> None:
    """Makes the tables, or sees that they are what they were made as. Raises sqlite3.Error."""
    tables = tuple(row[0] for row in connection.execute("SELECT sql FROM sqlite_master ORDER BY name"))
    if not tables:
        with connection:
            connection.executescript(";".join(("BEGIN", *_TABLES, "INSERT INTO state VALUES (0)")))
    elif tables != _TABLES:
        raise sqlite3.DatabaseError("its schema is damaged")


def _unavailable(error: OSError) -> sqlite3.OperationalError:
    passing = sqlite3.OperationalError(f"the file cannot be read: {error}")
    passing.sqlite_errorcode = sqlite3.SQLITE_IOERR
    return passing
