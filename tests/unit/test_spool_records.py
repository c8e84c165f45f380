"""A spool file under every kind of damage: what was not hit is read, once, in order; nothing else; and losses count."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.spool.files import SpoolFile
from otelgres.exporters.spool.reader import Contents, read_batch, read_contents
from otelgres.exporters.spool.records import (
    COUNT_OFFSET,
    HEAD_BYTES,
    HEADER_BYTES,
    MARK,
    SETTLED_OFFSET,
    encode,
    header,
    new_key,
    settled_field,
)

KEY = bytes(range(8))
NAME = f"{1:020}-1-{KEY.hex()}.spool"
# What looks like records, but is of no file or of another.
LOOKALIKES = b"".join(encode(Batch(Signal.LOGS, b"not mine"), number, 0, new_key()) for number in range(3))
PAYLOADS = st.one_of(
    st.binary(min_size=1, max_size=60),
    st.sampled_from([LOOKALIKES, LOOKALIKES[10:], MARK * 5, header(KEY), bytes(5000), b"x" * 9000]),
)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read(path: Path, data: bytes, key: bytes | None = KEY) -> tuple[Contents, list[Batch]]:
    """The contents, and the batches that are not settled."""
    path.write_bytes(data)
    with opened(path) as descriptor:
        found = read_contents(descriptor, key)
        batches = [read_batch(descriptor, entry) for entry in found.entries if not entry.settled]
    assert None not in batches
    return found, [batch for batch in batches if batch is not None]


def file_of(
    batches: Sequence[Batch], settled: Sequence[int] = (), count: int | None = None
) -> tuple[bytes, list[bytes]]:
    records = []
    for number, batch in enumerate(batches):
        record = bytearray(encode(batch, number, 1, KEY))
        if number in settled:
            record[SETTLED_OFFSET : SETTLED_OFFSET + 4] = settled_field(number, KEY)
        records.append(bytes(record))
    return header(KEY, len(batches) if count is None else count) + b"".join(records), records


def contains_record(data: bytes, record: bytes) -> bool:
    """Whether a record is somewhere in ``data``, settled or not."""
    rest = record[SETTLED_OFFSET + 4 :]
    at = data.find(rest, HEADER_BYTES + SETTLED_OFFSET + 4)
    while at >= 0:
        if data[at - SETTLED_OFFSET - 4 : at - 4] == MARK:
            return True
        at = data.find(rest, at + 1)
    return False


def damaged(draw: st.DrawFn, data: bytearray) -> None:
    if not data:
        return
    place = st.integers(0, max(0, len(data) - 1))
    kind = draw(st.sampled_from(["flip", "zero", "copy over", "copy in", "cut out", "garbage", "truncate"]))
    at, other, length = draw(place), draw(place), draw(st.integers(1, 200))
    if kind == "flip":
        data[at] ^= draw(st.integers(1, 255))
    elif kind == "zero":
        data[at : at + length] = bytes(len(data[at : at + length]))
    elif kind == "copy over":
        piece = data[at : at + length]
        data[other : other + len(piece)] = piece
    elif kind == "copy in":
        data[other:other] = data[at : at + length]
    elif kind == "cut out":
        del data[at : at + length]
    elif kind == "garbage":
        data += draw(st.binary(min_size=1, max_size=200))
    else:
        del data[max(at, 1) :]


@settings(deadline=None, max_examples=400)
@given(data=st.data())
def test_damage_loses_only_the_damaged_records_and_is_counted(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    batches = data.draw(st.lists(st.builds(Batch, st.sampled_from(list(Signal)), PAYLOADS), min_size=1, max_size=8))
    settled = data.draw(st.lists(st.integers(0, len(batches) - 1), max_size=3, unique=True))
    whole, records = file_of(batches, settled)
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 3))):
        data.draw(st.composite(lambda draw: damaged(draw, content))())
    found, got = read(tmp_path_factory.mktemp("damage") / NAME, bytes(content))

    there = [number for number, record in enumerate(records) if contains_record(bytes(content), record)]
    must = [number for number in there if number not in settled]
    numbers = [entry.number for entry in found.entries if not entry.settled]
    assert set(must) <= set(numbers) <= set(there)
    assert numbers == sorted(set(numbers))
    assert got == [batches[number] for number in numbers]
    if found.version:  # two damages: one of the version, one of the rest of the header
        return
    if bytes(content) == whole:
        assert not found.damaged
        return
    if content[:HEADER_BYTES] == whole[:HEADER_BYTES]:
        # Of a settled record the head is enough to know that it is safe.
        missing = set(range(len(batches))) - {entry.number for entry in found.entries}
        assert found.lost == len(missing)
        assert missing.isdisjoint(there)
    elif found.key is not None:
        assert found.lost <= len(batches) - len(there) + 1


@settings(deadline=None)
@given(cut=st.integers(0, 2000), counted=st.booleans())
def test_a_write_that_was_cut_off_is_no_damage(
    tmp_path_factory: pytest.TempPathFactory, cut: int, counted: bool
) -> None:
    batches = [Batch(Signal.LOGS, b"payload %d" % number * 10) for number in range(6)]
    whole, records = file_of(batches, count=3)
    first = len(header(KEY) + b"".join(records[:3]))
    cut = first + cut % (len(whole) - first + 1)
    content = bytearray(whole[:cut])
    if not counted:
        content[COUNT_OFFSET] ^= 1
    found, got = read(tmp_path_factory.mktemp("cut") / NAME, bytes(content))
    ends = [len(header(KEY) + b"".join(records[: number + 1])) for number in range(6)]
    assert got == [batch for batch, end in zip(batches, ends, strict=True) if end <= cut]
    assert found.lost == 0
    assert found.damaged_bytes == 0


def test_what_was_acknowledged_and_is_cut_off_is_counted(tmp_path: Path) -> None:
    whole, records = file_of([Batch(Signal.LOGS, b"payload" * 10)] * 6)
    for at, lost in ((len(whole) - 1, 1), (len(whole) - len(records[0]), 1), (HEADER_BYTES, 6)):
        assert read(tmp_path / NAME, whole[:at])[0].lost == lost


@pytest.mark.parametrize("at", range(HEADER_BYTES))
def test_a_damaged_header_loses_nothing(tmp_path: Path, at: int) -> None:
    batches = [Batch(Signal.LOGS, b"one"), Batch(Signal.TRACES, b"two")]
    content = bytearray(file_of(batches)[0])
    content[at] ^= 0x40
    found, got = read(tmp_path / NAME, bytes(content))
    assert got == batches
    assert found.damaged
    assert found.lost == 0


def test_a_file_of_another_version_is_told_from_a_damaged_version(tmp_path: Path) -> None:
    batches = [Batch(Signal.LOGS, b"one"), Batch(Signal.TRACES, b"two")]
    whole, _ = file_of(batches)
    for value in set(range(256)) - {ord("2")}:
        content = whole.replace(b"spool 2", b"spool " + bytes([value]), 1)
        found, got = read(tmp_path / NAME, content)
        assert (got, found.damaged, found.version) == (batches, True, "")
    for version in (b"3", b"1", b"10", b"2.1", b"987654321"):
        # The rest of the line's file may be anything, also nothing.
        for rest in (b"", os.urandom(200), whole[20:], whole[HEADER_BYTES:]):
            found, got = read(tmp_path / NAME, b"otelgres spool " + version + b"\n" + rest)
            assert (got, found.key, found.version) == ([], None, version.decode())


@pytest.mark.parametrize("at", range(SETTLED_OFFSET, SETTLED_OFFSET + 4))
def test_no_damaged_mark_of_what_is_settled_hides_a_batch(tmp_path: Path, at: int) -> None:
    batches = [Batch(Signal.LOGS, b"one")]
    whole, _ = file_of(batches)
    for value in range(256):
        content = bytearray(whole)
        content[HEADER_BYTES + at] = value
        assert read(tmp_path / NAME, bytes(content))[1] == batches


def test_a_file_is_read_without_its_name_and_under_another(tmp_path: Path) -> None:
    whole, _ = file_of([Batch(Signal.LOGS, b"one")])
    for key in (None, new_key()):
        assert read(tmp_path / "copied.bin", whole, key)[1] == [Batch(Signal.LOGS, b"one")]


def test_foreign_files_are_distinguished_from_new_files(tmp_path: Path) -> None:
    assert read(tmp_path / NAME, b"somebody else's text, under our kind of name" * 30)[0].key is None
    for length in range(HEADER_BYTES):
        found, got = read(tmp_path / NAME, header(KEY)[:length])
        assert (found.key is None, found.damaged, got) == (False, False, [])


def test_memory_is_bounded_and_records_larger_than_a_chunk_are_read(tmp_path: Path) -> None:
    batches = [Batch(Signal.TRACES, os.urandom(size)) for size in (3_000_000, 10, 1_048_576, 1_500_000, 1)]
    whole, records = file_of(batches)
    assert read(tmp_path / NAME, whole)[1] == batches
    # The mark of the second record stands across the end of a chunk that is searched.
    content = bytearray(whole)
    content[HEADER_BYTES + 5 + HEAD_BYTES] ^= 1
    found, got = read(tmp_path / NAME, bytes(content))
    assert (got, found.lost, found.damaged_bytes) == (batches[1:], 1, len(records[0]))


def test_an_unreadable_sector_loses_only_its_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a bad disk, which a test cannot have."""
    batches = [Batch(Signal.TRACES, os.urandom(3000)) for _ in range(40)]
    whole, _ = file_of(batches)
    real = os.read

    def fails(descriptor: int, length: int) -> bytes:
        at = os.lseek(descriptor, 0, os.SEEK_CUR)
        if at < 50_100 < at + length:
            raise OSError(5, "Input/output error")
        return real(descriptor, length)

    monkeypatch.setattr(os, "read", fails)
    found, got = read(tmp_path / NAME, whole)
    assert found.lost == 40 - len(got)
    assert 1 <= found.lost <= 3
    assert [batch for batch in batches if batch in got] == got


def test_a_batch_damaged_while_its_file_is_open_is_counted(tmp_path: Path) -> None:
    batches = [Batch(Signal.LOGS, b"one" * 50), Batch(Signal.LOGS, b"two" * 50)]
    with SpoolFile.create(tmp_path, 1) as file:
        file.append(batches)
        content = bytearray(file.path.read_bytes())
        content[HEADER_BYTES + HEAD_BYTES + 3] ^= 1
        file.path.write_bytes(content)
        assert [file.read(entry) for entry in file.pending()] == [None, batches[1]]
        assert file.lost == 1
        assert not file.writable
        file.settle(file.pending()[0])
