"""The files of the spool: whole after any crash, one owner each, bounded, and foreign ones left alone."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted, Overloaded, Unavailable
from otelgres.exporters.spool.folder import ClaimedFile, SpoolExporter, claim, spool_files
from otelgres.exporters.spool.records import HEADER, REFUSED, SENT, DamagedRecord, SpoolRecord, decode, encode
from tests.library.otlp_receiver import app_environment

BATCHES = [Batch(signal, f"payload {number}".encode() * 10) for number, signal in enumerate((*Signal, *Signal))]


def claimed(path: Path) -> ClaimedFile:
    found = claim(path)
    assert found is not None
    return found


def pending(folder: Path) -> list[Batch]:
    found = []
    for path in spool_files(folder):
        with claimed(path) as file:
            file.keep()
            found += [record.batch for record in file.pending()]
    return found


def written(tmp_path: Path, batches: list[Batch] = BATCHES) -> Path:
    sink = SpoolExporter(tmp_path)
    assert sink.write(batches) == [Accepted()] * len(batches)
    sink.close()
    (path,) = spool_files(tmp_path)
    return path


def test_what_goes_in_comes_out_in_order_byte_for_byte(tmp_path: Path) -> None:
    written(tmp_path)

    assert pending(tmp_path) == BATCHES


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(cut=st.integers(0, 1000), at=st.integers(0, 1000), flip=st.integers(1, 255))
def test_a_torn_or_damaged_record_costs_itself(cut: int, at: int, flip: int) -> None:
    records = [encode(batch) for batch in BATCHES]
    whole = HEADER + b"".join(records)
    cut = len(HEADER) + cut % (len(whole) - len(HEADER) + 1)
    ends = [len(HEADER) + sum(map(len, records[: number + 1])) for number in range(len(records))]

    torn = [part.batch for part in decode(whole[:cut]) if isinstance(part, SpoolRecord)]
    assert torn == [batch for batch, end in zip(BATCHES, ends, strict=True) if end <= cut]

    at = len(HEADER) + at % (len(whole) - len(HEADER))
    damaged = bytearray(whole)
    damaged[at] ^= flip
    hit = next(number for number, end in enumerate(ends) if at < end)
    parts = list(decode(bytes(damaged)))
    found = [part.batch for part in parts if isinstance(part, SpoolRecord)]
    if bytes(damaged[at : at + 1]) in {SENT, REFUSED} and found == BATCHES:
        return  # it was the state, and became another
    assert found == BATCHES[:hit] + BATCHES[hit + 1 :]
    assert sum(isinstance(part, DamagedRecord) for part in parts) == 1


def test_settled_records_are_not_read_again_and_the_last_one_removes_the_file(tmp_path: Path) -> None:
    path = written(tmp_path)
    with claimed(path) as file:
        first, second, *_ = file.pending()
        file.settle(first, SENT)
        file.settle(second, REFUSED)
    assert pending(tmp_path) == BATCHES[2:]

    with claimed(path) as file:
        for record in file.pending():
            file.settle(record, SENT)
    assert not path.exists()


def test_a_file_has_one_owner_and_the_next_one_when_that_lets_go(tmp_path: Path) -> None:
    sink = SpoolExporter(tmp_path)
    sink.write(BATCHES[:1])
    (path,) = spool_files(tmp_path)
    assert claim(path) is None
    sink.seal()

    with claimed(path) as file:
        assert claim(path) is None
        assert file.pending()
    sink.write(BATCHES[1:2])
    assert len(spool_files(tmp_path)) == 2
    sink.close()


KILLED = """
import os, sys
from pathlib import Path
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.spool.folder import SpoolExporter
sink = SpoolExporter(Path(sys.argv[1]))
sink.write([Batch(Signal.LOGS, b"from the parent")])
child = os.fork()
if not child:
    sink.forked()
    sink.write([Batch(Signal.LOGS, b"from the child")])
    os.kill(os.getppid(), 9)
    print("written", flush=True)
    sys.stdin.read()
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_killed_process_s_file_is_free_even_while_its_child_lives(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=app_environment(),
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    process.wait(30)

    parents, childs = spool_files(tmp_path)
    with claimed(parents) as file:
        assert [record.batch.payload for record in file.pending()] == [b"from the parent"]
    assert claim(childs) is None
    process.stdin.close()
    assert process.stdout.read() == ""  # the child has ended: the pipe has no writer
    with claimed(childs) as file:
        assert [record.batch.payload for record in file.pending()] == [b"from the child"]
    process.stdout.close()


def test_files_are_rotated_and_the_folder_is_bounded_by_refusing_the_newest(tmp_path: Path) -> None:
    batch = Batch(Signal.LOGS, b"x" * 1000)
    sink = SpoolExporter(tmp_path, max_bytes=10_500, segment_bytes=3000)

    outcomes = sink.write([batch] * 20)

    taken = outcomes.count(Accepted())
    assert 9 <= taken <= 10
    assert all(isinstance(outcome, Overloaded) for outcome in outcomes[taken:])
    assert len(spool_files(tmp_path)) >= 3
    assert sink.bytes_used() <= 10_500
    sink.close()
    assert len(pending(tmp_path)) == taken

    for path in spool_files(tmp_path)[:2]:
        path.unlink()
    assert SpoolExporter(tmp_path, max_bytes=10_500).write([batch]) == [Accepted()]


def test_another_process_s_files_count_against_the_bound(tmp_path: Path) -> None:
    SpoolExporter(tmp_path).write([Batch(Signal.LOGS, b"x" * 5000)])

    (outcome,) = SpoolExporter(tmp_path, max_bytes=6000).write([Batch(Signal.LOGS, b"x" * 1500)])
    assert isinstance(outcome, Overloaded)


def test_foreign_files_are_left_alone_and_half_born_ones_are_cleared_away(tmp_path: Path) -> None:
    foreign = tmp_path / "00000000000000000001-1-1.spool"
    foreign.write_bytes(b"somebody else's, under our kind of name")
    other = tmp_path / "notes.txt"
    other.write_text("notes")
    empty, torn = tmp_path / "00000000000000000002-1-1.spool", tmp_path / "00000000000000000003-1-1.spool"
    empty.touch()
    torn.write_bytes(HEADER[:5])

    for path in spool_files(tmp_path):
        with claimed(path) as file:
            assert file.pending() == []

    assert sorted(path.name for path in tmp_path.iterdir()) == [foreign.name, "notes.txt"]


def test_an_unusable_folder_is_said_and_used_again_once_it_can_be(tmp_path: Path) -> None:
    blocker = tmp_path / "blocker"
    blocker.touch()
    sink = SpoolExporter(blocker / "spool")
    (outcome,) = sink.write(BATCHES[:1])
    assert isinstance(outcome, Unavailable)
    assert str(blocker) in outcome.message

    blocker.unlink()
    assert sink.write(BATCHES[:1]) == [Accepted()]
    sink.close()
    assert pending(blocker / "spool") == BATCHES[:1]


def test_a_disk_that_fills_up_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that is cut short, then refused: what a full disk does, which a test may not fill."""
    sink = SpoolExporter(tmp_path)
    sink.write(BATCHES[:1])
    real, calls = os.write, []

    def fills_up(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return real(descriptor, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fills_up)
        (outcome,) = sink.write(BATCHES[1:2])
    assert isinstance(outcome, Overloaded)
    sink.write(BATCHES[2:3])
    sink.close()
    assert pending(tmp_path) == [BATCHES[0], BATCHES[2]]
    (path,) = spool_files(tmp_path)
    assert not any(isinstance(part, DamagedRecord) for part in decode(path.read_bytes()))


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no file that is open")
def test_a_file_that_is_removed_under_the_sink_is_replaced(tmp_path: Path) -> None:
    sink = SpoolExporter(tmp_path)
    sink.write(BATCHES[:1])
    for path in spool_files(tmp_path):
        path.unlink()
    sink.write(BATCHES[1:2])
    sink.close()
    assert pending(tmp_path) == BATCHES[1:2]


@pytest.mark.skipif(os.name == "nt", reason="no modes there")
def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    sink = SpoolExporter(tmp_path / "spool")
    sink.write(BATCHES[:1])
    (path,) = spool_files(tmp_path / "spool")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
