"""The spool against its promises: order, durability across a reopen, bounds, and damage that stays where it is."""

import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelgres.collector.queue.spool_folder import take_slot
from otelgres.collector.queue.sqlite_spool import Spool, SpoolFull
from otelgres.exporters.batch import Batch, Signal

SIGNALS = st.sampled_from(list(Signal))


def batches(*payloads: bytes) -> list[Batch]:
    return [Batch(Signal.LOGS, payload) for payload in payloads]


def drain(spool: Spool, at_once: int = 1 << 20) -> list[Batch]:
    found = []
    while spooled := spool.read(at_once):
        found += [item.batch for item in spooled]
        spool.forget(spooled[-1].position)
    return found


@given(
    groups=st.lists(st.lists(st.builds(Batch, SIGNALS, st.binary(max_size=50)), min_size=1, max_size=5), max_size=8),
    at_once=st.integers(1, 200),
    reopen=st.booleans(),
)
def test_what_goes_in_comes_out_in_order(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[Batch]], at_once: int, reopen: bool
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, 1 << 20)
    for group in groups:
        spool.append(group)
    if reopen:
        spool.close()
        spool = Spool(folder, 1 << 20)
    assert drain(spool, at_once) == [batch for group in groups for batch in group]
    assert spool.empty
    assert spool.bytes == 0
    assert spool.take_damage() == []
    spool.close()
    assert list(folder.glob("*.sqlite*")) == []


def test_what_was_not_forgotten_is_read_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20)
    spool.append(batches(b"1", b"2", b"3"))
    first = spool.read(1)
    assert [item.batch.payload for item in first] == [b"1"]
    spool.forget(first[0].position)
    spool.read(1 << 20)
    spool.close()
    assert [batch.payload for batch in drain(Spool(tmp_path, 1 << 20))] == [b"2", b"3"]


def test_a_killed_process_loses_nothing_that_append_returned_for(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from otelgres.collector.queue.sqlite_spool import Spool; "
        "from otelgres.exporters.batch import Batch, Signal\n"
        f"spool = Spool(Path({str(tmp_path)!r}), 1 << 20)\n"
        "for n in range(20): spool.append([Batch(Signal.TRACES, b'%d' % n)])\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert [batch.payload for batch in drain(Spool(tmp_path, 1 << 20))] == [b"%d" % n for n in range(20)]


def test_past_its_bound_it_keeps_all_or_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100)
    spool.append(batches(b"x" * 60))
    with pytest.raises(SpoolFull, match="60 of at most 100"):
        spool.append(batches(b"y" * 30, b"z" * 30))
    spool.append(batches(b"w" * 40))
    assert [batch.payload[:1] for batch in drain(spool)] == [b"x", b"w"]
    spool.append(batches(b"v" * 100))


def test_every_append_is_an_fsync(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20)
    spool.append(batches(b"1"))
    connection = spool._connection(1)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@given(data=st.data())
def test_damage_costs_only_what_is_damaged(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, 1 << 24)
    sent = [os.urandom(3000) for _ in range(40)]
    spool.append(batches(*sent))
    spool.close()
    file = folder / "000001.sqlite"
    content = bytearray(file.read_bytes())
    start = data.draw(st.integers(4096, len(content) - 100))
    content[start : start + 64] = bytes(64)
    file.write_bytes(content)
    spool = Spool(folder, 1 << 24)
    found = [batch.payload for batch in drain(spool)]
    # In order, nothing invented; either the damage is told, or it hit free space and all are there.
    assert [payload for payload in sent if payload in set(found)] == found
    damage = spool.take_damage()
    assert damage or len(found) == len(sent)
    if damage and "damaged" not in damage[0].detail.split()[-1]:
        assert len(found) + sum(item.batches for item in damage) == len(sent)
    spool.append(batches(b"after"))
    assert [batch.payload for batch in drain(spool)] == [b"after"]


KILLED = (
    "import os, pickle, sys; from pathlib import Path; from otelgres.collector.queue.sqlite_spool import Spool\n"
    "folder, groups, forget, end = pickle.load(sys.stdin.buffer)\n"
    "spool = Spool(folder, 1 << 24)\n"
    "for group in groups: spool.append(group)\n"
    "if forget: spool.forget((1, forget))\n"
    "spool.close() if end == 'closed' else os.kill(os.getpid(), 9)"
)


def left(folder: Path, groups: list[list[Batch]], end: str, forget: int = 0) -> None:
    """What a process leaves that kept these, forgot some, and was ``closed`` or ``killed``."""
    given = pickle.dumps((folder, groups, forget, end))
    subprocess.run([sys.executable, "-c", KILLED], input=given, check=False)


@pytest.fixture(scope="module", params=["closed", "killed"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """A spool of 120 batches of all sizes, some written together, and one that needs more than two levels of pages."""
    folder = tmp_path_factory.mktemp("kept")
    sent = [b"%d " % number + os.urandom(30 if number % 4 else 900 * (number % 20)) for number in range(120)]
    left(folder, [batches(*sent[at : at + 3]) for at in range(0, 120, 3)], request.param, forget=6)
    assert (folder / "000001.sqlite-wal").exists() == (request.param == "killed")
    return folder, sent


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_byte_anywhere_costs_what_it_hit_and_is_told(
    kept: tuple[Path, list[bytes]], tmp_path: Path, seed: int
) -> None:
    source, sent = kept
    random = Random(seed)
    for attempt in range(10):
        folder = tmp_path / str(attempt)
        shutil.copytree(source, folder, ignore=lambda _, names: [name for name in names if name.endswith("-shm")])
        file = random.choice(sorted(folder.iterdir()))
        content = bytearray(file.read_bytes())
        # Half of the time where it does the most harm: the beginnings of files and of pages.
        page = random.choice((0, random.randrange(len(content) // 4096) * 4096))
        place = min(len(content) - 1, page + random.choice((random.randrange(150), random.randrange(4096))))
        content[place] ^= random.randrange(1, 256)
        file.write_bytes(content)
        spool = Spool(folder, 1 << 24)
        assert spool.oldest_age() < 3600
        found = [batch.payload for batch in drain(spool, 5000)]
        told = sum(item.batches for item in spool.take_damage())
        missing = sum(payload not in set(found) for payload in sent[6:])
        where = f"{file.name} at {place}"
        # What was drained before comes again where the mark of that is what was hit.
        assert [payload for payload in sent if payload in set(found)] == found, f"other or out of order: {where}"
        assert missing <= told, f"not told: {where}"
        assert missing <= 4096 // 40, f"more than the smallest of one page: {where}"
        assert spool.empty
        spool.close()


@pytest.mark.parametrize(("name", "at"), [("000001.sqlite", 3), ("000001.sqlite", 4096), ("000001.sqlite-wal", 9000)])
def test_damage_to_what_holds_everything_together_costs_next_to_nothing(tmp_path: Path, name: str, at: int) -> None:
    sent = [os.urandom(3000) for _ in range(60)]
    left(tmp_path, [batches(one) for one in sent], "killed" if name.endswith("wal") else "closed")
    content = bytearray((tmp_path / name).read_bytes())
    content[at] ^= 0xFF
    (tmp_path / name).write_bytes(content)
    spool = Spool(tmp_path, 1 << 24)
    read = spool.read(100_000)
    assert len(read) > 1
    # The database went away: what was read and not forgotten is read again, and what was told is not told again.
    assert [item.batch.payload for item in spool.read(100_000)] == [item.batch.payload for item in read]
    found = [batch.payload for batch in drain(spool, 100_000)]
    assert [payload for payload in sent if payload in set(found)] == found
    assert len(found) >= len(sent) - 1
    (damage,) = spool.take_damage()
    assert "000001.damaged" in damage.detail
    assert (tmp_path / "000001.damaged").exists()
    assert not list(tmp_path.glob("*.sqlite*"))


def test_a_batch_that_is_gone_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    left(tmp_path, [batches(b"good", b"evil", b"also good")], "closed")
    file = tmp_path / "000001.sqlite"
    with sqlite3.connect(file) as connection:
        # The checksum of nothing.
        connection.execute("UPDATE batches SET payload = x'', crc = 0 WHERE id = 2")
    connection.close()
    file.write_bytes(b"X" + file.read_bytes()[1:])
    spool = Spool(tmp_path, 1 << 20)
    assert [batch.payload for batch in drain(spool)] == [b"good", b"also good"]
    assert [item.batches for item in spool.take_damage()] == [1]


def test_the_beginning_of_a_write_that_was_cut_off_is_no_damage(tmp_path: Path) -> None:
    sent = [os.urandom(3000) for _ in range(10)]
    left(tmp_path, [batches(*sent[:5]), batches(*sent[5:])], "killed")
    log = tmp_path / "000001.sqlite-wal"
    log.write_bytes(log.read_bytes()[: -2 * 4120 - 5])
    spool = Spool(tmp_path, 1 << 24)
    assert [batch.payload for batch in drain(spool)] == sent[:5]
    assert spool.take_damage() == []


def test_a_damaged_batch_among_others_costs_them_nothing_when_they_have_to_be_read_again(tmp_path: Path) -> None:
    left(tmp_path, [batches(b"good", b"evil", b"also good")], "closed")
    with sqlite3.connect(tmp_path / "000001.sqlite") as connection:
        connection.execute("UPDATE batches SET payload = ? WHERE id = 2", (b"evil!",))
    connection.close()
    spool = Spool(tmp_path, 1 << 20)
    for _ in range(2):
        assert [item.batch.payload for item in spool.read(1 << 20)] == [b"good", b"also good"]
    assert [batch.payload for batch in drain(spool, 1)] == [b"good", b"also good"]
    assert [item.batches for item in spool.take_damage()] == [1]


@pytest.mark.parametrize("drained", [3, 1 << 32, -1, "x", b"x"])
def test_a_damaged_mark_of_what_is_drained_skips_nothing(tmp_path: Path, drained: object) -> None:
    left(tmp_path, [batches(b"1", b"2", b"3")], "closed", forget=1)
    with sqlite3.connect(tmp_path / "000001.sqlite") as connection:
        connection.execute("UPDATE state SET drained = ?", (drained,))
    connection.close()
    assert [batch.payload for batch in drain(Spool(tmp_path, 1 << 20))] == [b"1", b"2", b"3"]


def test_a_file_that_is_no_database_is_quarantined_and_logged(tmp_path: Path) -> None:
    (tmp_path / "000001.sqlite").write_bytes(b"not a database at all" * 500)
    spool = Spool(tmp_path, 1 << 20)
    spool.append(batches(b"1"))
    assert [batch.payload for batch in drain(spool)] == [b"1"]
    (damage,) = spool.take_damage()
    assert damage.batches == 1
    assert "000001.damaged" in damage.detail
    assert (tmp_path / "000001.damaged").exists()


def test_a_flipped_bit_in_a_payload_is_noticed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20)
    spool.append(batches(b"good", b"evil", b"also good"))
    spool.close()
    with sqlite3.connect(tmp_path / "000001.sqlite") as connection:
        connection.execute("UPDATE batches SET payload = ? WHERE id = 2", (b"evil!",))
    connection.close()
    spool = Spool(tmp_path, 1 << 20)
    assert [batch.payload for batch in drain(spool)] == [b"good", b"also good"]
    assert [item.batches for item in spool.take_damage()] == [1]


def test_receivers_of_one_database_have_a_slot_each_and_inherit_from_the_dead(tmp_path: Path) -> None:
    first, second = take_slot(tmp_path), take_slot(tmp_path)
    assert first.folder != second.folder
    for slot, payload in ((first, b"of the first"), (second, b"of the second")):
        spool = Spool(slot.folder, 1 << 20)
        spool.append(batches(payload))
        spool.close()
    second.release()
    first.release()
    heir = take_slot(tmp_path)
    assert {batch.payload for batch in drain(Spool(heir.folder, 1 << 20))} == {b"of the first", b"of the second"}
    heir.release()


def test_a_slot_that_is_held_is_left_alone(tmp_path: Path) -> None:
    holder = take_slot(tmp_path)
    spool = Spool(holder.folder, 1 << 20)
    spool.append(batches(b"mine"))
    other = take_slot(tmp_path)
    assert Spool(other.folder, 1 << 20).empty
    assert [batch.payload for batch in drain(spool)] == [b"mine"]
    other.release()
    holder.release()
