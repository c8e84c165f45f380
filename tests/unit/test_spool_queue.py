"""The receiver's spool against its promises: order, durability, bounds, and damage that stays where it is."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelgres.collector.queue.spool_folders import take_folder
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.spool.files import SpoolFile, spool_files
from otelgres.exporters.spool.queue import SpoolFull, SpoolQueue
from otelgres.exporters.spool.records import HEAD_BYTES, HEADER_BYTES

SIGNALS = st.sampled_from(list(Signal))


def batches(*payloads: bytes) -> list[Batch]:
    return [Batch(Signal.LOGS, payload) for payload in payloads]


def drain(spool: SpoolQueue, at_once: int = 1 << 20) -> list[Batch]:
    found = []
    while spooled := spool.read(at_once):
        found += [item.batch for item in spooled]
        spool.forget(spooled[-1].position)
    return found


def damage(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


@given(
    groups=st.lists(st.lists(st.builds(Batch, SIGNALS, st.binary(max_size=50)), min_size=1, max_size=5), max_size=8),
    at_once=st.integers(1, 200),
    reopen=st.booleans(),
)
def test_what_goes_in_comes_out_in_order(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[Batch]], at_once: int, reopen: bool
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = SpoolQueue(folder, 1 << 20)
    for group in groups:
        spool.append(group)
        if reopen:
            spool.close()
            spool = SpoolQueue(folder, 1 << 20)
    assert drain(spool, at_once) == [batch for group in groups for batch in group]
    assert spool.empty
    assert spool.bytes == 0
    assert spool.losses() == []
    assert list(folder.iterdir()) == []


def test_files_are_begun_anew_and_all_are_read_in_order(tmp_path: Path) -> None:
    sent = [b"%d" % number + bytes(6_000_000) for number in range(8)]
    spool = SpoolQueue(tmp_path, 1 << 30)
    for payload in sent:
        spool.append(batches(payload))
    assert len(spool_files(tmp_path)) == 3
    assert [batch.payload for batch in drain(spool)] == sent
    assert spool.bytes == 0


def test_what_was_not_forgotten_is_read_again(tmp_path: Path) -> None:
    spool = SpoolQueue(tmp_path, 1 << 20)
    spool.append(batches(b"1", b"2", b"3"))
    first = spool.read(1)
    assert [item.batch.payload for item in first] == [b"1"]
    spool.forget(first[0].position)
    assert [item.batch.payload for item in spool.read(1 << 20)] == [b"2", b"3"]
    spool.close()
    assert [batch.payload for batch in drain(SpoolQueue(tmp_path, 1 << 20))] == [b"2", b"3"]


def test_past_its_bound_it_keeps_all_or_nothing(tmp_path: Path) -> None:
    spool = SpoolQueue(tmp_path, HEADER_BYTES + 2 * HEAD_BYTES + 100)
    spool.append(batches(b"x" * 60))
    with pytest.raises(SpoolFull, match="of at most"):
        spool.append(batches(b"y" * 20, b"z" * 20))
    spool.append(batches(b"w" * 40))
    assert [batch.payload[:1] for batch in drain(spool)] == [b"x", b"w"]
    spool.append(batches(b"v" * 100))


def test_what_was_set_aside_counts_against_the_bound_and_is_a_spool_file(tmp_path: Path) -> None:
    spool = SpoolQueue(tmp_path, 5000)
    spool.append(batches(b"x" * 2000, b"y" * 2000))
    poison, other = spool.read(1 << 20)
    path = spool.quarantine(poison)
    assert spool.quarantine(poison) == path
    spool.forget(other.position)
    assert spool.quarantined() == 1
    assert spool.bytes == path.stat().st_size == HEADER_BYTES + HEAD_BYTES + 2000
    with pytest.raises(SpoolFull):
        spool.append(batches(b"z" * 3000))
    file = SpoolFile.open(path)
    assert file is not None
    with file:
        assert [file.read(entry) for entry in file.pending()] == batches(b"x" * 2000)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """What the system refuses to write is as good as a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_without_room_keeps_nothing_of_a_group_and_all_of_those_before(tmp_path: Path) -> None:
    spool = SpoolQueue(tmp_path, 1 << 30)
    with largest_file(20_000):
        spool.append(batches(b"1" * 9000))
        with pytest.raises(SpoolFull, match="cannot be written"):
            spool.append(batches(b"2" * 9000, b"3" * 9000))
        assert spool_files(tmp_path)[0].stat().st_size == HEADER_BYTES + HEAD_BYTES + 9000
        spool.append(batches(b"4" * 9000))
    spool.close()
    spool = SpoolQueue(tmp_path, 1 << 30)
    assert [batch.payload[:1] for batch in drain(spool)] == [b"1", b"4"]
    assert spool.losses() == []
    with largest_file(20), pytest.raises(SpoolFull):
        spool.append(batches(b"5"))
    assert list(tmp_path.iterdir()) == []
    assert spool.empty


def test_every_group_is_on_the_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a power cut shows this, so the calls are watched: data first, then the new file's name."""
    synced: list[tuple[str, int]] = []

    def watch(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((path.suffix, path.stat().st_size if path.is_file() else 0))

    monkeypatch.setattr(os, "fdatasync", watch)
    monkeypatch.setattr(os, "fsync", watch)
    spool = SpoolQueue(tmp_path, 1 << 20)
    spool.append(batches(b"1" * 100))
    assert synced[-3:] == [(".spool", HEADER_BYTES), ("", 0), (".spool", HEADER_BYTES + HEAD_BYTES + 100)]
    spool.append(batches(b"2" * 100))
    assert synced[3:] == [(".spool", HEADER_BYTES + 2 * HEAD_BYTES + 200)]


def test_after_a_failed_fsync_nothing_is_appended_to_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a failing disk, which a test cannot have: the next fsync of the same file would succeed."""
    spool = SpoolQueue(tmp_path, 1 << 20)
    spool.append(batches(b"1"))
    (before,) = spool_files(tmp_path)
    size = before.stat().st_size

    def fails(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        with pytest.raises(SpoolFull, match="Input/output error"):
            spool.append(batches(b"2"))
    spool.append(batches(b"3"))
    _, after = spool_files(tmp_path)
    assert before.stat().st_size == size
    assert after.stat().st_size == size
    assert [batch.payload for batch in drain(spool)] == [b"1", b"3"]


def test_damage_loses_only_the_damaged_batch_and_is_reported_until_acknowledged(tmp_path: Path) -> None:
    spool = SpoolQueue(tmp_path, 1 << 20)
    spool.append(batches(b"good" * 9, b"evil" * 9, b"also good" * 9))
    spool.close()
    (path,) = spool_files(tmp_path)
    damage(path, HEADER_BYTES + 2 * HEAD_BYTES + 50)
    for _ in range(2):
        # A crash before the ledger has it: it is reported again.
        spool = SpoolQueue(tmp_path, 1 << 20)
        assert [batch.payload[:4] for batch in drain(spool)] in ([b"good", b"also"], [])
        (loss,) = spool.losses()
        assert loss.batches == 1
        assert not spool.empty
        spool.close()
    spool = SpoolQueue(tmp_path, 1 << 20)
    assert spool.read(1) == []
    (loss,) = spool.losses()
    spool.forget_loss(loss)
    assert spool.losses() == []
    assert spool.empty
    assert [one.name for one in (tmp_path / "quarantine").iterdir()] == [f"{path.name}.damaged"]
    assert spool.quarantined() == 0


def test_damaged_files_take_a_share_of_the_bound_only(tmp_path: Path) -> None:
    for number in range(8):
        spool = SpoolQueue(tmp_path, 10_000)
        spool.append(batches(b"%d" % number * 1000))
        (path,) = spool_files(tmp_path)
        damage(path, HEADER_BYTES + HEAD_BYTES + 3)
        assert spool.read(1) == []
        for loss in spool.losses():
            assert loss.batches == 1
            spool.forget_loss(loss)
        spool.close()
    assert len(list((tmp_path / "quarantine").iterdir())) == 2


def test_an_invalid_file_is_reported_and_kept(tmp_path: Path) -> None:
    name = f"{5:020}-1-{'0' * 16}.spool"
    (tmp_path / name).write_bytes(b"not a spool file at all" * 50)
    spool = SpoolQueue(tmp_path, 1 << 20)
    spool.append(batches(b"1"))
    assert [batch.payload for batch in drain(spool)] == [b"1"]
    (loss,) = spool.losses()
    assert loss.batches == 1
    spool.forget_loss(loss)
    assert (tmp_path / "quarantine" / f"{name}.damaged").exists()


def test_a_file_that_another_process_has_open_is_read_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = SpoolQueue(tmp_path, 1 << 20)
    spool.append(batches(b"1"))
    spool.close()
    (path,) = spool_files(tmp_path)
    holder = SpoolFile.open(path)
    assert holder is not None
    spool = SpoolQueue(tmp_path, 1 << 20)
    spool.append(batches(b"2"))
    assert [batch.payload for batch in drain(spool)] == [b"2"]
    assert "cannot be read now" in caplog.text
    holder.close()
    assert [batch.payload for batch in drain(spool)] == [b"1"]


def test_the_age_is_that_of_the_oldest_batch(tmp_path: Path) -> None:
    spool = SpoolQueue(tmp_path, 1 << 20)
    assert spool.oldest_age() == 0
    spool.append(batches(b"1"))
    assert 0 < spool.oldest_age() < 60
    drain(spool)
    assert spool.oldest_age() == 0


def test_new_files_come_after_old_ones_whatever_the_clock_does(tmp_path: Path) -> None:
    future = SpoolFile.create(tmp_path, 9_000_000_000_000_000_000)
    future.append(batches(b"1"))
    future.close()
    spool = SpoolQueue(tmp_path, 1 << 20)
    spool.append(batches(b"2"))
    assert [batch.payload for batch in drain(spool)] == [b"1", b"2"]


@pytest.mark.parametrize("begun", ["9" * 20, f"{2**63:020}", f"{2**63 - 1:020}"])
def test_no_name_hides_later_files(tmp_path: Path, begun: str) -> None:
    SpoolFile.create(tmp_path, int(begun)).close()
    for number in range(3):
        spool = SpoolQueue(tmp_path, 1 << 20)
        spool.append(batches(b"%d" % number))
        assert spool.oldest_age() < 60
        spool.close()
    assert len(spool_files(tmp_path)) == 4
    assert sorted(batch.payload for batch in drain(SpoolQueue(tmp_path, 1 << 20))) == [b"0", b"1", b"2"]
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_version_is_kept_and_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / f"{5:020}-1-{'0' * 16}.spool"
    content = b"otelgres spool 3\n" + os.urandom(5000)
    path.write_bytes(content)
    # Too small for any damaged file.
    spool = SpoolQueue(tmp_path, 6000)
    spool.append(batches(b"1", b"2"))
    for _ in range(3):
        assert [batch.payload for batch in drain(spool)] in ([b"1", b"2"], [])
        spool.append(batches(b"1", b"2"))
    drain(spool)
    assert spool.empty
    assert spool.losses() == []
    assert spool.oldest_age() == 0
    (warning,) = caplog.messages
    assert path.name in warning
    assert "written by another version of otelgres (spool format 3)" in warning
    assert path.read_bytes() == content
    spool.close()

    parent = tmp_path / "parent"
    (parent / "3").mkdir(parents=True)
    path.rename(parent / "3" / path.name)
    folder = take_folder(parent)
    assert (folder.path / path.name).read_bytes() == content
    folder.release()


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    names = [tmp_path / f"{number:020}-1-{number:016x}.spool" for number in range(4)]
    outside = tmp_path / "outside"
    outside.write_text("of somebody else")
    names[0].symlink_to(outside)
    os.mkfifo(names[1])
    names[2].mkdir()
    SpoolFile.create(tmp_path, 3).close()
    spool = SpoolQueue(tmp_path, 1 << 20)
    # One that was a file when the folder was listed.
    listed = spool_files(tmp_path)
    listed[0].unlink()
    os.mkfifo(listed[0])
    spool.append(batches(b"1"))
    assert [batch.payload for batch in drain(spool)] == [b"1"]
    assert spool.losses() == []
    assert all(os.path.lexists(path) for path in (*names[:3], listed[0]))
    assert outside.read_text() == "of somebody else"


def test_what_cannot_be_read_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    holder = SpoolFile.create(tmp_path, 1)
    spool = SpoolQueue(tmp_path, 1 << 20)
    for _ in range(3):
        assert spool.read(1) == []
    assert len(caplog.messages) == 1
    holder.close()
    spool.read(1)
    assert spool.empty


def test_folders_that_cannot_be_used_cost_the_others_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(6):
        (tmp_path / str(number)).mkdir()
    (tmp_path / "0" / "owner.lock").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "1").rmdir()
    (tmp_path / "1").write_text("a file")
    os.mkfifo(tmp_path / "3" / "owner.lock")
    for number in (4, 5):
        spool = SpoolQueue(tmp_path / str(number), 1 << 20)
        spool.append(batches(b"of %d" % number))
        spool.close()
    (tmp_path / "5" / "x.spool").mkdir()
    own = take_folder(tmp_path)
    assert own.path.name == "2"
    assert sorted(batch.payload for batch in drain(SpoolQueue(own.path, 1 << 20))) == [b"of 4", b"of 5"]
    assert len(caplog.messages) == 3
    assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "5" / "x.spool").is_dir()
    own.release()


def test_receivers_of_one_database_have_a_folder_each_and_take_over_folders_of_ended_ones(tmp_path: Path) -> None:
    first, second = take_folder(tmp_path), take_folder(tmp_path)
    assert first.path != second.path
    for folder, payload in ((first, b"of the first"), (second, b"of the second")):
        spool = SpoolQueue(folder.path, 1 << 20)
        spool.append(batches(payload, b"poison " + payload))
        spool.quarantine(spool.read(1 << 20)[1])
        spool.close()
    second.release()
    first.release()
    second = take_folder(tmp_path)
    spool = SpoolQueue(second.path, 1 << 20)
    assert [batch.payload for batch in drain(spool)] == [
        b"of the first", b"poison of the first", b"of the second", b"poison of the second",
    ]  # fmt: skip
    assert spool.quarantined() == 2
    second.release()


def test_a_folder_that_is_held_is_left_alone(tmp_path: Path) -> None:
    holder = take_folder(tmp_path)
    spool = SpoolQueue(holder.path, 1 << 20)
    spool.append(batches(b"mine"))
    other = take_folder(tmp_path)
    assert SpoolQueue(other.path, 1 << 20).empty
    assert [batch.payload for batch in drain(spool)] == [b"mine"]
    other.release()
    holder.release()
