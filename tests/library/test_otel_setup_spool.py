"""Applications whose collector is away: what they leave in the spool, and that it arrives later, once.

Real processes and a real receiver that is there, gone, refusing or silent.
"""

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_setup.config.processing import default_spool
from otel_setup.config.settings import Arguments, resolve
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.items import parse
from otelgres.exporters.spool.exporter import SpoolExporter
from otelgres.exporters.spool.files import open_file, spool_files
from otelgres.exporters.spool.records import HEADER_BYTES
from tests.library.otlp_receiver import DEADLINE, Receiver, app, attributes, plain, run_app, unused_port

START = """
import json, logging, os, signal, sys, threading, time
from opentelemetry import metrics, trace
from otel_setup import checkpoint, configure_telemetry, flow, phase, shutdown_telemetry
log = logging.getLogger("app")
def everything(tag):
    log.info("log %s", tag)
    checkpoint("span " + tag)
def ready():
    print("ready", flush=True)
    return sys.stdin.readline()
def until(condition):
    deadline = time.monotonic() + 25
    while not condition():
        assert time.monotonic() < deadline, telemetry.stats()
        threading.Event().wait(0.02)
telemetry = configure_telemetry("spooling", endpoint=sys.argv[1], timeout=2)
"""
# Nothing leaves unless it is told to.
LATE = {"OTEL_BLRP_SCHEDULE_DELAY": "600000", "OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_METRICS_EXPORTER": "none"}

FORKS_HERE = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def kept(folder: Path) -> list[str]:
    """The bodies and span names in the spool, which stays as it is."""
    found = []
    for path in spool_files(folder):
        file = open_file(path)
        assert file is not None, "nobody has it any more"
        file.keep()
        with file:
            for entry in file.pending():
                batch = file.read(entry)
                assert batch is not None
                request = parse(batch)
                if batch.signal is Signal.LOGS:
                    records = (r for g in request.resource_logs for s in g.scope_logs for r in s.log_records)
                    found += [plain(r.body) for r in records]
                else:
                    found += [span.name for g in request.resource_spans for s in g.scope_spans for span in s.spans]
    return sorted(found)


def arrived(receiver: Receiver) -> list[str]:
    return sorted([*receiver.bodies(), *(span.name for span in receiver.spans())])


def both(*tags: str) -> list[str]:
    return sorted(f"{kind} {tag}" for tag in tags for kind in ("log", "span"))


def nowhere() -> str:
    return f"http://127.0.0.1:{unused_port()}"


def use(folder: Path) -> dict[str, str]:
    return {**LATE, "OTELGRES_TELEMETRY_SPOOL": str(folder)}


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_what_an_application_leaves_at_its_end_its_next_run_sends_once(spool: Path, protocol: str) -> None:
    variables = {**use(spool), "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    done = run_app(START + "everything('first')", nowhere(), **variables)
    assert f"stored in {spool}" in done.stderr
    assert kept(spool) == both("first")

    with Receiver() as receiver:
        endpoint = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
        second = run_app(START + "everything('second')", endpoint, **variables)

        assert arrived(receiver) == both("first", "second")
        uids = [attributes(record)["log.record.uid"] for record in receiver.logs()]
        assert len(set(uids)) == 2
        assert spool_files(spool) == []
        assert second.stderr == ""


KILLED = START + "everything('killed')\ntelemetry.force_flush()\neverything('queued')\n"
ENDS = {
    "kill": "ready()",
    "_exit": "os._exit(0)",
    "exit": "sys.exit(0)",
    "error": "raise RuntimeError('boom')",
    "sigterm": "os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)",
}


@pytest.mark.parametrize("end", ENDS)
def test_what_was_flushed_survives_every_end_and_a_clean_one_keeps_the_queue_too(spool: Path, end: str) -> None:
    with app(KILLED + ENDS[end], nowhere(), **use(spool)) as process:
        if end == "kill":
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.kill()
        process.communicate(timeout=DEADLINE)

    assert kept(spool) == (both("killed") if end in {"kill", "_exit"} else both("killed", "queued"))


FORKS = """
everything("parent before")
telemetry.force_flush()
for number in range(3):
    if not os.fork():
        everything(f"child {number}")
        if number == 0:
            telemetry.force_flush(); os.kill(os.getpid(), signal.SIGKILL)
        if number == 1:
            shutdown_telemetry(); os._exit(0)
        sys.exit(0)
for _ in range(3): os.wait()
everything("parent after")
"""


@FORKS_HERE
def test_forked_children_write_files_of_their_own(spool: Path) -> None:
    run_app(START + FORKS, nowhere(), **use(spool))

    tags = ("parent before", "child 0", "child 1", "child 2", "parent after")
    assert kept(spool) == both(*tags)
    assert len({path.name.split("-")[1] for path in spool_files(spool)}) == 4
    with Receiver() as receiver:
        run_app(START, receiver.grpc_endpoint, **use(spool))
        assert arrived(receiver) == both(*tags)
        assert spool_files(spool) == []


COMES_BACK = """
everything("away")
telemetry.force_flush()
print(telemetry.stats()["logs"]["spooled"], flush=True)
ready()
until(lambda: telemetry.stats()["logs"]["replayed"] and telemetry.stats()["traces"]["replayed"])
everything("back")
telemetry.force_flush()
print(json.dumps(telemetry.stats()), flush=True)
"""


FORKED_FIRST = """
telemetry.force_flush()
if os.fork():
    os.wait(); os._exit(0)
"""


@pytest.mark.parametrize("before", ["", pytest.param(FORKED_FIRST, marks=FORKS_HERE)], ids=["itself", "child"])
def test_the_same_application_sends_it_when_the_collector_is_back(spool: Path, before: str) -> None:
    with Receiver() as receiver:
        receiver.refuse = True
        with app(START + before + COMES_BACK, receiver.grpc_endpoint, **use(spool)) as process:
            assert process.stdout is not None
            assert [process.stdout.readline(), process.stdout.readline()] == ["1\n", "ready\n"]
            receiver.refuse = False
            out, err = process.communicate("\n", timeout=DEADLINE)

        stats = json.loads(out)
        assert stats["logs"] == {
            "sent": 1, "spooled": 1, "replayed": 1, "console": 0, "stderr": 0, "refused": 0, "dropped": 0,
            "overflowed": 0,
        }  # fmt: skip
        assert arrived(receiver) == both("away", "back")
        # Python 3.12 and later warn about forks, too.
        assert sum("cannot export telemetry" in line for line in err.splitlines()) == 1
        assert spool_files(spool) == []


def test_a_file_in_use_is_skipped_and_a_truncated_one_loses_only_its_end(spool: Path) -> None:
    run_app(START + "everything('whole')", nowhere(), **use(spool))
    *_, path = spool_files(spool)
    path.write_bytes(path.read_bytes() + path.read_bytes()[HEADER_BYTES:][:40])
    (spool / "notes.spool").write_text("not ours")
    living = SpoolExporter(spool)
    living.write([Batch(Signal.LOGS, b"of a living process")])

    with Receiver() as receiver:
        source = "until(lambda: telemetry.stats()['values']['damaged'])\nprint(telemetry.stats()['logs']['replayed'])"
        done = run_app(START + source, receiver.grpc_endpoint, **use(spool))

        assert arrived(receiver) == both("whole")
    assert done.stdout == "1\n"
    assert len(spool_files(spool)) == 1
    living.close()
    assert (spool / "notes.spool").exists()


THREE_PASSES = """
for _ in range(3):
    telemetry.replayer.wake()
    assert telemetry.replayer._idle.wait(25)
until(lambda: telemetry.stats()['logs']['replayed'])
print(telemetry.stats()['values']['damaged'])
"""


def test_a_file_of_another_version_is_kept_and_told_once(spool: Path) -> None:
    run_app(START + "everything('whole')", nowhere(), **use(spool))
    newer = spool / f"{1:020}-1-{'0' * 16}.spool"
    newer.write_bytes(b"otelgres spool 3\n" + bytes(500))

    with Receiver() as receiver:
        done = run_app(START + THREE_PASSES, receiver.grpc_endpoint, **use(spool))
        assert arrived(receiver) == both("whole")

    assert done.stdout == "0\n"
    assert newer.read_bytes() == b"otelgres spool 3\n" + bytes(500)
    assert spool_files(spool) == [newer]
    (line,) = [line for line in done.stderr.splitlines() if "written by another version" in line]
    assert f"{newer} is kept" in line
    assert "(spool format 3)" in line


REFUSING = """
everything("refused")
telemetry.force_flush()
print(json.dumps(telemetry.stats()), flush=True)
"""


def test_permanently_rejected_batches_are_dropped_counted_and_logged(spool: Path) -> None:
    """An HTTP server that knows no OTLP says 404 to everything."""
    with Receiver() as receiver:
        variables = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", **use(spool)}
        receiver.refuse_for_good = True
        done = run_app(START + REFUSING, receiver.http_endpoint, **variables)

    stats = json.loads(done.stdout)
    assert (stats["logs"]["refused"], stats["traces"]["refused"]) == (1, 1)
    assert done.stderr.count("permanently") == 1
    assert spool_files(spool) == []


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    (tmp_path / "blocker").touch()
    return tmp_path / "blocker" / "spool"


@pytest.fixture
def full(spool: Path) -> Iterator[Path]:
    sink = SpoolExporter(spool)
    sink.write([Batch(Signal.LOGS, b"x" * 2000)])
    yield spool
    sink.close()


@pytest.mark.parametrize("state", ["unwritable", "full"])
def test_without_room_in_the_spool_it_is_printed(state: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(state)
    source = "everything('a')\ntelemetry.force_flush()\nprint(json.dumps(telemetry.stats()))"
    done = run_app(START + source, nowhere(), **use(folder), OTELGRES_TELEMETRY_SPOOL_BYTES="2000")

    log, span, stats = sorted(done.stdout.splitlines(), key=lambda line: ("log a" not in line, "span a" not in line))
    assert " INFO spooling app: log a {" in log
    assert " SPAN spooling span a 0." in span
    counted = json.loads(stats)
    assert (counted["logs"]["console"], counted["traces"]["console"]) == (1, 1)
    assert "printed to stdout" in done.stderr


def test_without_stdout_lines_go_to_stderr_and_without_stderr_they_are_counted(unwritable: Path) -> None:
    source = (
        "sys.stdout.close(); everything('a'); telemetry.force_flush(); first = telemetry.stats()\n"
        "err, sys.stderr = sys.stderr, None\n"
        "everything('b'); telemetry.force_flush(); print(json.dumps([first, telemetry.stats()]), file=err)\n"
    )
    done = run_app(START + source, nowhere(), **use(unwritable))

    *lines, stats = done.stderr.splitlines()
    assert sum("INFO spooling app: log a" in line for line in lines) == 1
    first, second = json.loads(stats)
    assert (first["logs"]["stderr"], first["logs"]["dropped"]) == (1, 0)
    assert (second["logs"]["stderr"], second["logs"]["dropped"]) == (1, 1)


@pytest.mark.parametrize(
    ("fallback", "where"), [("stderr", "err"), ("console,spool", "out"), ("spool", "spool"), ("none", "")]
)
def test_the_order_is_the_caller_s(spool: Path, fallback: str, where: str) -> None:
    done = run_app(START + "everything('a')", nowhere(), **use(spool), OTELGRES_TELEMETRY_FALLBACK=fallback)
    assert ("log a" in done.stdout) == (where == "out")
    assert ("app: log a" in done.stderr) == (where == "err")
    assert (kept(spool) == both("a")) == (where == "spool")


PATIENT = """
log.info("log a")
threading.Thread(target=telemetry.force_flush, args=(20,)).start()
"""


def test_without_a_spool_a_batch_is_retried_for_its_timeout(spool: Path) -> None:
    variables = {**LATE, "OTELGRES_TELEMETRY_FALLBACK": "none"}
    with Receiver() as receiver:
        receiver.refuse = True
        source = START.replace("timeout=2", "timeout=20") + PATIENT + "ready()"
        with app(source, receiver.http_endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf", **variables) as process:
            receiver.wait(lambda: receiver.refused > 0)
            receiver.refuse = False
            receiver.wait(lambda: receiver.bodies() == ["log a"])
            process.communicate("\n", timeout=DEADLINE)
        assert receiver.bodies() == ["log a"]


def test_a_collector_that_never_answers_does_not_keep_the_end_waiting_nor_lose_anything(spool: Path) -> None:
    source = "for n in range(1500): everything(str(n))\nbegan = time.monotonic()\nshutdown_telemetry(3)\n"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for protocol in ("grpc", "http/protobuf"):
            done = run_app(
                START.replace("timeout=2", "timeout=30") + source + "print(time.monotonic() - began)",
                f"http://127.0.0.1:{port}", **use(spool), OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
            )  # fmt: skip
            # Three seconds are promised; the margin is for a machine that is busy with other things.
            assert float(done.stdout) < 10
            assert kept(spool) == both(*map(str, range(1500)))
            for path in spool_files(spool):
                path.unlink()


def test_a_queue_that_overflows_is_counted(spool: Path) -> None:
    source = (
        "for n in range(3000): log.info('x')\ntelemetry.force_flush()\n"
        "first = telemetry.stats(); print(json.dumps([first, telemetry.stats()]))"
    )
    variables = {**use(spool), "OTEL_BLRP_MAX_QUEUE_SIZE": "100", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "100"}
    done = run_app(START + source, nowhere(), **variables)
    first, second = json.loads(done.stdout)
    # The SDK may warn of a full queue that an export has just emptied.
    assert 3000 <= first["logs"]["overflowed"] + first["logs"]["spooled"] < 3050
    assert second["logs"]["overflowed"] == first["logs"]["overflowed"] > 0


REPORTED = """
everything("a")
telemetry.force_flush()
ready()
until(lambda: telemetry.stats()["logs"]["replayed"])
"""


def test_the_counts_are_metrics_once_the_collector_is_there(spool: Path) -> None:
    with Receiver() as receiver:
        receiver.refuse = True
        variables = {**use(spool), "OTEL_METRICS_EXPORTER": "otlp"}
        with app(START + REPORTED, receiver.grpc_endpoint, **variables) as process:
            assert process.stdout is not None
            process.stdout.readline()
            receiver.refuse = False
            process.communicate("\n", timeout=DEADLINE)

        points = [
            (metric.name, attributes(point), point.as_int)
            for _, group in receiver.resources("metrics")
            for scope in group.scope_metrics
            for metric in scope.metrics
            for point in (metric.sum.data_points or metric.gauge.data_points)
        ]
    for disposition in ("spooled", "replayed"):
        expected = ("otelgres.telemetry.items", {"otelgres.signal": "logs", "otelgres.disposition": disposition}, 1)
        assert expected in points


def test_nothing_is_reported_where_nothing_goes_wrong() -> None:
    with Receiver() as receiver:
        run_app(START + "everything('a')", receiver.grpc_endpoint)
        assert receiver.resources("metrics") == []


LARGE = "\nfor n in range(40): log.info('x' * 200_000)\n"


def test_large_batches_go_in_parts_that_any_grpc_server_takes(spool: Path) -> None:
    with Receiver() as receiver:
        run_app(START + LARGE, receiver.grpc_endpoint, **use(spool))

        assert len(receiver.logs()) == 40
        assert max(message.ByteSize() for _, message, _ in receiver.received) < 4 * 1024 * 1024


def test_a_foreign_process_writing_its_spool_is_not_disturbed_by_a_kill_of_ours(spool: Path) -> None:
    """Two processes of one service at once, one of which dies."""
    source = "everything(sys.argv[2]); telemetry.force_flush(); ready(); everything(sys.argv[2] + ' later')"
    with (
        app(START + source, nowhere(), "one", **use(spool)) as one,
        app(START + source, nowhere(), "two", **use(spool)) as two,
    ):
        for process in (one, two):
            assert process.stdout is not None
            process.stdout.readline()
        one.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        one.wait(DEADLINE)
        two.communicate("\n", timeout=DEADLINE)
    assert kept(spool) == both("one", "two", "two later")


def test_the_default_is_a_directory_of_the_service_in_the_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_spool("my/../ser vice") == tmp_path / "otelgres" / "telemetry" / "my_.._ser_vice"
    assert default_spool("..").name == "_"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert default_spool("x") == Path.home() / ".local" / "state" / "otelgres" / "telemetry" / "x"


@pytest.mark.parametrize(
    ("arguments", "environ", "word"),
    [
        ({"spool": 5}, {}, "spool"),
        ({"spool": "a\0b"}, {}, "spool"),
        ({"fallback": ["disk"]}, {}, "disk"),
        ({"fallback": 5}, {}, "fallback"),
        ({"spool_bytes": -1}, {}, "spool_bytes"),
        ({"max_body_bytes": "many"}, {}, "max_body_bytes"),
        ({}, {"OTELGRES_TELEMETRY_FALLBACK": "disk"}, "disk"),
        ({}, {"OTELGRES_TELEMETRY_MAX_ATTRIBUTE_BYTES": "0"}, "MAX_ATTRIBUTE_BYTES"),
        ({}, {"OTELGRES_TELEMETRY_REDACT": "maybe"}, "maybe"),
        ({}, {"OTELGRES_TELEMETRY_SPOOOL": "/x"}, "SPOOOL"),
    ],
)
def test_invalid_spool_settings_are_warned_of_and_take_the_default(
    arguments: dict[str, Any], environ: dict[str, str], word: str
) -> None:
    settings = resolve(Arguments(**arguments), environ)
    (warning,) = settings.warnings
    assert word in warning
    default = resolve(Arguments(), {}).processing
    assert settings.processing.fallback == default.fallback == ("spool", "console", "stderr")
    assert settings.processing.spool_bytes == default.spool_bytes


def test_arguments_win_over_variables(tmp_path: Path) -> None:
    environ = {"OTELGRES_TELEMETRY_SPOOL": str(tmp_path), "OTELGRES_TELEMETRY_FALLBACK": "stderr, console"}
    assert resolve(Arguments(), environ).processing.fallback == ("stderr", "console")
    assert resolve(Arguments(fallback=["spool"]), environ).processing.spool == tmp_path
    assert resolve(Arguments(fallback=["spool"], spool=tmp_path / "x"), environ).processing.spool == tmp_path / "x"
    assert "spool" not in resolve(Arguments(spool=False), {}).processing.fallback
    assert resolve(Arguments(), {"OTELGRES_TELEMETRY_SPOOL": "off"}).processing.fallback == ("console", "stderr")
