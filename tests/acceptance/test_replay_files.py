"""``otelgres replay`` and whatever a folder can contain: what cannot be sent is kept and named with the reason, in one
line each, costs its neighbours nothing, and makes the exit status 1.
"""

import json
import os
import re
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otelgres.collector.cli.group import cli
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted, Outcome
from otelgres.exporters.spool import replay as replay_module
from otelgres.exporters.spool.candidates import Candidate, candidates
from otelgres.exporters.spool.exporter import SpoolExporter
from otelgres.exporters.spool.files import SpoolFile
from otelgres.exporters.spool.records import COUNT_OFFSET, HEAD_BYTES, HEADER_BYTES, encode, header, new_key
from otelgres.exporters.spool.replay import Removal, ReplayResult, replay
from tests.library.otlp_receiver import Receiver

NOBODY = 65534


@pytest.fixture(scope="module")
def receiving() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


@pytest.fixture
def receiver(receiving: Receiver) -> Receiver:
    receiving.received.clear()
    receiving.refuse = receiving.refuse_for_good = False
    return receiving


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of a user who is bound by permissions, which this process is during the test."""
    folder = Path(tempfile.mkdtemp(prefix="otelgres-replay-"))
    root = os.geteuid() == 0
    if root:
        os.chown(folder, NOBODY, NOBODY)
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
            os.setegid(0)
        for path in (folder, *folder.iterdir()):
            if path.is_dir():
                path.chmod(0o700)
        shutil.rmtree(folder)


def run(receiver: Receiver, target: Path, *options: str) -> Result:
    done = CliRunner().invoke(cli, ["replay", str(target), "--endpoint", receiver.http_endpoint, *options])
    assert isinstance(done.exception, SystemExit | None), done.exc_info
    return done


def line_about(done: Result, name: str) -> str:
    (line,) = [line for line in done.output.splitlines() if line.startswith(f"{name}: ")]
    return line


def bodies(receiver: Receiver) -> list[str]:
    return sorted(str(record.body.string_value) for record in receiver.all_logs())


def batch(text: str) -> Batch:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add().body.string_value = text
    return Batch(Signal.LOGS, request.SerializeToString())


def spool_file(folder: Path, begun: int, *texts: str) -> Path:
    file = SpoolFile.create(folder, begun)
    file.append([batch(text) for text in texts])
    file.close()
    return file.path


def json_line(text: str) -> str:
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": text}}]}]}]}) + "\n"


def change(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x55
    path.write_bytes(content)


def newer(path: Path) -> bytes:
    """A file of a later version, of which this one knows only the first line."""
    content = b"otelgres spool 3\n" + os.urandom(500)
    path.write_bytes(content)
    return content


@pytest.mark.parametrize("option", [None, "--delete", "--keep"])
def test_a_damaged_file_is_kept_and_what_was_sent_is_not_sent_again(
    receiver: Receiver, tmp_path: Path, option: str | None
) -> None:
    hit = spool_file(tmp_path, 1, "first", "second", "third")
    whole = spool_file(tmp_path, 2, "of a neighbour")
    length = len(batch("first").payload)
    change(hit, HEADER_BYTES + HEAD_BYTES + length + HEAD_BYTES + 3)
    options = () if option is None else (option,)

    done = run(receiver, tmp_path, *options)
    assert done.exit_code == 1
    size = HEAD_BYTES + len(batch("second").payload)
    assert f"left: damaged, 1 batch and {size} bytes cannot be read" in line_about(done, hit.name)
    assert "1 of 2 files left" in done.output
    assert bodies(receiver) == ["first", "of a neighbour", "third"]
    assert hit.exists()
    assert whole.exists() is (option == "--keep")

    if option != "--keep":
        receiver.received.clear()
        done = run(receiver, tmp_path, *options)
        assert (done.exit_code, bodies(receiver), hit.exists()) == (1, [], True)
        assert "1 of 1 file left" in done.output


@pytest.mark.parametrize("where", ["header", "count", "end", "tail"])
def test_any_damage_keeps_the_file(receiver: Receiver, tmp_path: Path, where: str) -> None:
    path = spool_file(tmp_path, 1, "first", "second")
    if where == "end":
        os.truncate(path, path.stat().st_size - 1)
    elif where == "tail":
        path.write_bytes(path.read_bytes() + bytes(100))
    else:
        change(path, 20 if where == "header" else COUNT_OFFSET)
    done = run(receiver, tmp_path)
    assert done.exit_code == 1
    assert "left: damaged" in line_about(done, path.name)
    assert bodies(receiver) == (["first"] if where == "end" else ["first", "second"])
    assert path.exists()


def test_a_write_that_was_cut_off_by_a_kill_is_no_damage(receiver: Receiver, tmp_path: Path) -> None:
    path = spool_file(tmp_path, 1, "first")
    key = bytes.fromhex(path.stem.rpartition("-")[2])
    path.write_bytes(path.read_bytes() + encode(batch("second"), 1, 1, key)[:-1])
    done = run(receiver, tmp_path)
    assert (done.exit_code, bodies(receiver), path.exists()) == (0, ["first"], False)


def test_a_file_of_another_version_is_never_removed(receiver: Receiver, tmp_path: Path) -> None:
    names = [f"{1:020}-1-{new_key().hex()}.spool", f"{1:020}-1-{new_key().hex()}.spool", f"{new_key().hex()}.spool"]
    paths = [tmp_path / names[0], tmp_path / "0" / names[1], tmp_path / "0" / "quarantine" / names[2]]
    paths[2].parent.mkdir(parents=True)
    contents = [newer(path) for path in paths]
    spool_file(tmp_path, 2, "a neighbour")
    for options in ((), ("--delete",), ("--keep",)):
        done = run(receiver, tmp_path, *options)
        assert done.exit_code == 1
        for path in paths:
            line = line_about(done, str(path.relative_to(tmp_path)))
            assert "another version of otelgres (spool format 3): replay it with that version" in line
        assert [path.read_bytes() for path in paths] == contents
    assert bodies(receiver) == ["a neighbour"]


def special_files(folder: Path) -> dict[str, str]:
    """Makes one of each; returns the reasons by name."""
    name = f"{1:020}-1-{{}}.spool"
    outside = folder.parent / "outside"
    outside.mkdir()
    target = spool_file(outside, 1, "behind a link")
    (outside / "lines.json").write_text(json_line("behind a link"))
    expected = {}
    for suffix, kind in ((suffix, kind) for suffix in (".spool", ".json") for kind in ("link", "fifo", "folder")):
        path = folder / (name.format(new_key().hex()) if suffix == ".spool" else f"{kind}.json")
        if kind == "link":
            path.symlink_to(target if suffix == ".spool" else outside / "lines.json")
            expected[path.name] = "a symbolic link"
        elif kind == "fifo":
            os.mkfifo(path)
            expected[path.name] = "a FIFO"
        else:
            path.mkdir()
            expected[path.name] = "a folder"
    os.mknod(folder / "s.json", stat.S_IFSOCK | 0o600)
    expected["s.json"] = "a socket"
    (folder / "quarantine").symlink_to(outside)
    (folder / "7").symlink_to(outside)
    (folder / "empty.json").symlink_to("nowhere")
    expected |= {"quarantine": "a symbolic link", "7": "a symbolic link", "empty.json": "a symbolic link"}
    (folder / name.format(new_key().hex())).touch()
    (folder / "torn.spool").write_bytes(header(new_key())[:20])
    (folder / "notes.spool").write_text("somebody's notes" * 20)
    expected |= {"torn.spool": "contains nothing", "notes.spool": "not a spool file"}
    (empty,) = [path for path in folder.glob("*.spool") if path.is_file() and not path.stat().st_size]
    return expected | {empty.name: "contains nothing"}


def test_what_is_no_file_of_ours_is_named_and_left(receiver: Receiver, tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    expected = special_files(folder)
    for other in ("notes.txt", "owner.lock", "0", "x.spool.damaged", "x.new"):
        (folder / other).write_text("of no concern")
    # A digit, but no number.
    (folder / "²").mkdir()
    spool_file(folder / "12", 1, "of a receiver")
    spool_file(folder, 2, "of an application")
    (folder / "z.jsonl").write_text(json_line("of a Collector"))
    before = {path.name for path in folder.iterdir()}

    done = run(receiver, folder, "--delete")

    assert done.exit_code == 1
    for name, reason in expected.items():
        assert f"0 items sent, left: {reason}" in line_about(done, name)
    assert f"{len(expected)} of {len(expected) + 3} files left" in done.output
    assert len(done.output.splitlines()) == len(expected) + 4
    assert bodies(receiver) == ["of a Collector", "of a receiver", "of an application"]
    removed = {name for name in before if not os.path.lexists(folder / name)}
    assert removed == {"z.jsonl", next(name for name in before if name.startswith(f"{2:020}"))}
    assert len(list((tmp_path / "outside").iterdir())) == 2


def test_what_is_named_itself_may_be_anything(receiver: Receiver, tmp_path: Path) -> None:
    fifo, plain, empty, away = (tmp_path / name for name in ("fifo", "plain", "empty", "socket"))
    os.mkfifo(fifo)
    plain.write_text("no spool file" * 20)
    empty.touch()
    os.mknod(away, stat.S_IFSOCK | 0o600)
    for target, reason in (
        (Path("/dev/null"), "a device"), (fifo, "a FIFO"), (away, "a socket"),
        (plain, "not a spool file"), (empty, "contains nothing"),
    ):  # fmt: skip
        done = run(receiver, target)
        assert done.exit_code == 1
        assert f"left: {reason}" in line_about(done, str(target))
        assert "1 of 1 file left" in done.output
        assert target.exists()

    # A link that is named is followed.
    path = spool_file(tmp_path / "spool", 1, "behind a link")
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "folder").symlink_to(path.parent)
    assert run(receiver, tmp_path / "link").exit_code == 0
    assert bodies(receiver) == ["behind a link"]
    assert run(receiver, tmp_path / "folder").output.endswith("nothing left\n")


def test_a_renamed_file_is_sent(receiver: Receiver, tmp_path: Path) -> None:
    path = spool_file(tmp_path, 1, "renamed")
    path.rename(tmp_path / "backup of monday.spool")
    done = run(receiver, tmp_path)
    assert (done.exit_code, bodies(receiver), list(tmp_path.iterdir())) == (0, ["renamed"], [])


def test_what_may_not_be_read_is_named_and_left(receiver: Receiver, unprivileged: Path) -> None:
    closed = spool_file(unprivileged, 1, "closed")
    lines = unprivileged / "lines.json"
    lines.write_text(json_line("closed"))
    for folder in ("3", "4/quarantine"):
        (unprivileged / folder).mkdir(parents=True)
    for path in (closed, lines, unprivileged / "3", unprivileged / "4/quarantine"):
        path.chmod(0)
    (unprivileged / "5").mkdir()
    (unprivileged / "5" / "a.spool").touch()
    (unprivileged / "5").chmod(0o400)
    spool_file(unprivileged, 2, "open")
    try:
        done = run(receiver, unprivileged)
    finally:
        (unprivileged / "4/quarantine").chmod(0o700)
    assert done.exit_code == 1
    for name in (closed.name, "lines.json", "3", "4/quarantine", "5"):
        assert "left: cannot be read: Permission denied" in line_about(done, name)
    assert "5 of 6 files left" in done.output
    assert bodies(receiver) == ["open"]


def test_a_file_that_may_only_be_read_is_sent(receiver: Receiver, unprivileged: Path) -> None:
    path = spool_file(unprivileged, 1, "read only")
    path.chmod(0o400)
    done = run(receiver, unprivileged, "--keep")
    assert (done.exit_code, bodies(receiver), path.exists()) == (0, ["read only"], True)

    unprivileged.chmod(0o500)
    done = run(receiver, unprivileged)
    assert done.exit_code == 1
    assert "left: all is sent, but the file cannot be removed: Permission denied" in line_about(done, path.name)

    unprivileged.chmod(0o700)
    done = run(receiver, unprivileged)
    assert (done.exit_code, path.exists()) == (0, False)


@pytest.mark.parametrize("option", [None, "--delete"])
def test_what_the_receiver_rejects_is_kept(receiver: Receiver, tmp_path: Path, option: str | None) -> None:
    """As at a wrong address, where a server of another kind answers."""
    receiver.refuse_for_good = True
    path = spool_file(tmp_path, 1, "first", "second")
    (tmp_path / "lines.json").write_text(json_line("third"))
    options = () if option is None else (option,)
    done = run(receiver, tmp_path, *options)
    assert done.exit_code == 1
    assert "2 rejected (" in line_about(done, path.name)
    assert line_about(done, path.name).endswith("left: 2 batches rejected")
    assert line_about(done, "lines.json").endswith("left: 1 request rejected; the file is kept")

    receiver.refuse_for_good = False
    receiver.received.clear()
    done = run(receiver, tmp_path, "--delete")
    assert (done.exit_code, bodies(receiver)) == (0, ["first", "second", "third"])
    assert list(tmp_path.iterdir()) == []


def test_lines_that_are_no_requests_cost_their_neighbours_nothing(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "_LONGEST_LINE", 3000)
    bad = [
        "[" * 200 + "]" * 200, '{"resourceLogs":' + "[" * 200, "x" * 3000, "x" * 9001,
        '{"resourceSpans":[],"resourceLogs":[]}', "[]", "1", '"text"', "null", "\x00" * 10, '{"resourceLogs":7}',
    ]  # fmt: skip
    path = tmp_path / "lines.json"
    path.write_text("".join(f"{one}\n{json_line(str(number))}" for number, one in enumerate(bad)) + "\n\n" + "[")
    done = run(receiver, tmp_path, "--delete")
    assert done.exit_code == 1
    assert bodies(receiver) == sorted(str(number) for number in range(len(bad)))
    assert f"{len(bad) + 1} damaged" in line_about(done, "lines.json")
    assert f"left: {len(bad) + 1} lines not OTLP/JSON; the file is kept" in line_about(done, "lines.json")
    assert path.exists()


def test_a_lone_surrogate_is_repaired_as_the_receiver_does(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "lines.json").write_text(json_line("half \ud83d of a pair"))
    done = run(receiver, tmp_path, "--delete")
    assert (done.exit_code, bodies(receiver)) == (0, ["half \ufffd of a pair"])


class Meanwhile:
    """An exporter during whose first write something else happens."""

    def __init__(self, happens: Callable[[], object] = lambda: None) -> None:
        self._happens = [happens]

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        while self._happens:
            self._happens.pop()()
        return [Accepted()] * len(batches)

    def close(self) -> None:
        """Nothing to close."""


def sent(found: Sequence[Candidate], removal: Removal, exporter: Meanwhile) -> list[ReplayResult]:
    return replay(found, exporter, removal, lambda result: None)


def test_a_json_file_that_changes_while_it_is_sent_loses_nothing(tmp_path: Path) -> None:
    path, other = tmp_path / "lines.json", tmp_path / "other"

    def grows() -> None:
        with path.open("a") as file:
            file.write(json_line("second"))

    def is_replaced() -> None:
        other.write_text(json_line("third"))
        other.replace(path)

    for happens, batches, left, exists in (
        (grows, 2, "", False),
        (is_replaced, 1, "changed while it was sent; run the command again", True),
        (path.unlink, 1, "", False),
    ):
        path.write_text(json_line("first"))
        (result,) = sent(candidates(path), Removal.ALL, Meanwhile(happens))
        assert (result.batches, result.left, path.exists()) == (batches, left, exists)


def test_what_vanishes_after_it_was_listed_stops_nothing(tmp_path: Path) -> None:
    taken, kept = spool_file(tmp_path, 1, "taken"), spool_file(tmp_path, 2, "kept")
    (tmp_path / "lines.json").write_text(json_line("gone"))
    found = candidates(tmp_path)
    taken.unlink()
    (tmp_path / "lines.json").unlink()
    spool, other, lines = sent(found, Removal.SPOOL, Meanwhile())
    assert (spool.gone, spool.left) == (True, "")
    assert (other.batches, other.left, kept.exists()) == (1, "", False)
    assert "No such file" in lines.left
    (missing,) = candidates(tmp_path / "nowhere")
    assert "No such file" in missing.problem


def test_a_special_file_put_in_the_place_of_a_listed_one_is_not_opened(tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text(json_line("outside"))
    folder = tmp_path / "spool"
    paths = [spool_file(folder, number, "replaced") for number in range(2)]
    paths += [folder / f"{number}.json" for number in range(2)]
    for path in paths[2:]:
        path.write_text(json_line("replaced"))
    found = candidates(folder)
    for number, path in enumerate(paths):
        path.unlink()
        if number % 2:
            os.mkfifo(path)
        else:
            path.symlink_to(outside)
    assert [result.left for result in sent(found, Removal.ALL, Meanwhile())] == [
        "cannot be read: not a regular file"
    ] * 4
    assert all(os.path.lexists(path) for path in (*paths, outside))


def test_listing_and_removing_at_the_same_time(tmp_path: Path) -> None:
    """Applications write and remove files at any time."""
    stopping = threading.Event()
    stable = spool_file(tmp_path, 1, "stays")
    temporary = [tmp_path / f"{number}.spool" for number in range(30)]

    def changes() -> None:
        while not stopping.is_set():
            for path in temporary:
                path.touch()
                path.with_suffix("").mkdir()
            for path in temporary:
                path.unlink()
                path.with_suffix("").rmdir()

    thread = threading.Thread(target=changes)
    thread.start()
    try:
        for _ in range(200):
            found = candidates(tmp_path)
            assert [candidate for candidate in found if candidate.problem] == []
            assert stable in [candidate.path for candidate in found]
    finally:
        stopping.set()
        thread.join()


def test_names_and_answers_cannot_write_to_the_terminal(receiver: Receiver, tmp_path: Path) -> None:
    for name in (b"\xff\xfe.json", b"\x1b[2Ja\n.json"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("[")
    done = run(receiver, tmp_path)
    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 3
    assert "\x1b" not in done.output
    assert re.search(r"^\?\?\.json: ", done.output, re.MULTILINE)


def test_a_file_in_use_is_left_and_an_empty_folder_is_nothing(receiver: Receiver, tmp_path: Path) -> None:
    done = run(receiver, tmp_path)
    assert done.exit_code == 0
    assert "no spool files or OTLP/JSON lines in" in done.output
    living = SpoolExporter(tmp_path)
    living.write([batch("of a living process")])
    for option in ("--delete", "--keep"):
        done = run(receiver, tmp_path, option)
        assert done.exit_code == 1
        assert "left: in use by a running application or receiver" in done.output
    living.close()
    assert run(receiver, tmp_path).exit_code == 0
    assert bodies(receiver) == ["of a living process"]
