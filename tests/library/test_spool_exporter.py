"""The spool of applications: files with one owner each, bounded, and foreign ones left alone."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted, Overloaded, Unavailable
from otelgres.exporters.spool.exporter import SpoolExporter
from otelgres.exporters.spool.files import SpoolFile, open_file, spool_files
from otelgres.exporters.spool.records import HEAD_BYTES, HEADER_BYTES, header
from tests.library.otlp_receiver import app_environment

BATCHES = [Batch(signal, f"payload {number}".encode() * 10) for number, signal in enumerate((*Signal, *Signal))]


def opened(path: Path) -> SpoolFile:
    found = open_file(path)
    assert found is not None
    return found


def batches(file: SpoolFile) -> list[Batch | None]:
    return [file.read(entry) for entry in file.pending()]


def pending(folder: Path) -> list[Batch | None]:
    found = []
    for path in spool_files(folder):
        with opened(path) as file:
            file.keep()
            assert not file.damaged
            found += batches(file)
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


def test_settled_records_are_not_read_again_and_the_last_one_removes_the_file(tmp_path: Path) -> None:
    path = written(tmp_path)
    with opened(path) as file:
        first, second, *_ = file.pending()
        file.settle(first)
        file.settle(second)
    assert pending(tmp_path) == BATCHES[2:]

    with opened(path) as file:
        for record in file.pending():
            file.settle(record)
    assert not path.exists()


def test_a_file_has_one_owner_and_the_next_one_when_that_lets_go(tmp_path: Path) -> None:
    sink = SpoolExporter(tmp_path)
    sink.write(BATCHES[:1])
    (path,) = spool_files(tmp_path)
    assert open_file(path) is None
    sink.seal()

    with opened(path) as file:
        assert open_file(path) is None
        assert file.pending()
    sink.write(BATCHES[1:2])
    assert len(spool_files(tmp_path)) == 2
    sink.close()


KILLED = """
import os, sys
from pathlib import Path
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.spool.exporter import SpoolExporter
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
def test_the_file_of_a_killed_process_is_unlocked_even_while_its_child_runs(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=app_environment(),
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    process.wait(30)

    parents, childs = spool_files(tmp_path)
    with opened(parents) as file:
        assert batches(file) == [Batch(Signal.LOGS, b"from the parent")]
    assert open_file(childs) is None
    process.stdin.close()
    assert process.stdout.read() == ""  # the child has ended: the pipe has no writer
    with opened(childs) as file:
        assert batches(file) == [Batch(Signal.LOGS, b"from the child")]
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


@pytest.mark.parametrize("size", [1, 50, 1000])
@pytest.mark.parametrize("segment", [1, 200, 10_000])
def test_the_bound_includes_every_header(tmp_path: Path, size: int, segment: int) -> None:
    sink = SpoolExporter(tmp_path, max_bytes=10_000, segment_bytes=segment)
    outcomes = sink.write([Batch(Signal.LOGS, b"x" * size)] * 300)
    taken = outcomes.count(Accepted())
    assert 0 < taken < 300
    used = sum(path.stat().st_size for path in spool_files(tmp_path))
    assert 10_000 - size - HEAD_BYTES - HEADER_BYTES < used <= 10_000
    sink.close()
    assert len(pending(tmp_path)) == taken


def test_another_process_s_files_count_against_the_bound(tmp_path: Path) -> None:
    SpoolExporter(tmp_path).write([Batch(Signal.LOGS, b"x" * 5000)])

    (outcome,) = SpoolExporter(tmp_path, max_bytes=6000).write([Batch(Signal.LOGS, b"x" * 1500)])
    assert isinstance(outcome, Overloaded)


def test_foreign_files_are_kept_and_incomplete_ones_are_removed(tmp_path: Path) -> None:
    foreign = tmp_path / f"{1:020}-1-{1:016x}.spool"
    foreign.write_bytes(b"somebody else's, under our kind of name")
    other = tmp_path / "notes.txt"
    other.write_text("notes")
    empty, torn = (tmp_path / f"{number:020}-1-{number:016x}.spool" for number in (2, 3))
    empty.touch()
    torn.write_bytes(header(b"12345678")[:20])

    for path in spool_files(tmp_path):
        with opened(path) as file:
            assert file.pending() == []

    assert sorted(path.name for path in tmp_path.iterdir()) == [foreign.name, "notes.txt"]


def test_an_unusable_folder_is_logged_and_used_once_it_is_usable(tmp_path: Path) -> None:
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


def test_a_full_disk_leaves_no_partial_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
