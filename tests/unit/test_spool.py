"""The spool against its promises: order, durability across a reopen, bounds, and damage that stays where it is."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.spool import Spool, SpoolFull
from collector.spool_slots import take_slot
from exporters.batch import Batch, Signal

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
        "import os, sys; from pathlib import Path; from collector.spool import Spool; "
        "from exporters.batch import Batch, Signal\n"
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


def test_a_file_that_is_no_database_is_set_aside_and_told(tmp_path: Path) -> None:
    (tmp_path / "000001.sqlite").write_bytes(b"not a database at all" * 500)
    spool = Spool(tmp_path, 1 << 20)
    spool.append(batches(b"1"))
    assert [batch.payload for batch in drain(spool)] == [b"1"]
    (damage,) = spool.take_damage()
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
