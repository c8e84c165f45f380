"""Applications, the real receiver and PostgreSQL: what was logged and traced while the receiver was away is in SQL
afterwards, each item once, whether the application sends it, its next run, or ``otelgres replay``.
"""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otelgres.collector.embedded import Cluster
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.spool.exporter import SpoolExporter
from otelgres.exporters.spool.files import spool_files
from otelgres.exporters.spool.queue import SpoolQueue
from tests import postgres
from tests.acceptance.receiver_process import Serving, environment, rows, run_otelgres, serve, served
from tests.library.otlp_receiver import unused_port
from tests.waiting import TIMEOUT, until

ROOT = Path(__file__).resolve().parents[2]
APP = """
import logging, os, signal, sys, threading
from opentelemetry import trace
from otel_setup import configure_telemetry, shutdown_telemetry
telemetry = configure_telemetry("replayed", endpoint=sys.argv[1], timeout=3)
log, tracer = logging.getLogger("app"), trace.get_tracer("app")
def work(tag, first, last):
    for number in range(first, last):
        with tracer.start_as_current_span(f"{tag} {number}"):
            log.info("%s %d", tag, number)
"""
ENDS = """
work("flushed", 0, 700)
telemetry.force_flush()
if not os.fork():
    work("child", 0, 300)
    sys.exit(0)
os.wait()
if not os.fork():
    work("killed child", 0, 200)
    telemetry.force_flush()
    os.kill(os.getpid(), signal.SIGKILL)
os.wait()
if sys.argv[2] == "exit":
    work("queued", 0, 100)
    sys.exit(0)
print("ready", flush=True)
sys.stdin.read()
"""
EXPECTED = {"flushed": 700, "child": 300, "killed child": 200}


@contextmanager
def application(source: str, spool: Path, *arguments: str, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", APP + source, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment(PYTHONPATH=str(ROOT), OTELGRES_TELEMETRY_SPOOL=str(spool), **variables),
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def left_behind(spool: Path, end: str) -> None:
    """Runs the application with nobody listening, and ends it."""
    with application(ENDS, spool, f"http://127.0.0.1:{unused_port()}", end) as process:
        if end == "kill":
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.kill()
        process.wait(TIMEOUT)


def stored(dsn: str) -> tuple[dict[str, int], dict[str, int]]:
    """Log records and spans in SQL by tag. Fails if any is there twice."""
    found = []
    for table, name in (("logs", "body"), ("spans", "name")):
        names = [str(row["name"]) for row in rows(dsn, f"SELECT {name} AS name FROM otel.{table}")]
        assert len(names) == len(set(names)), "something is there twice"
        tags: dict[str, int] = {}
        for one in names:
            tag = one.rpartition(" ")[0]
            tags[tag] = tags.get(tag, 0) + 1
        found.append(tags)
    return found[0], found[1]


@pytest.mark.parametrize(("end", "option"), [("kill", "--endpoint"), ("exit", "--grpc")])
def test_replay_delivers_every_id_once_however_often(
    cluster: Cluster, migrated: str, tmp_path: Path, end: str, option: str
) -> None:
    spool, copy = tmp_path / "spool", tmp_path / "copy"
    left_behind(spool, end)
    shutil.copytree(spool, copy)
    expected = EXPECTED | ({"queued": 100} if end == "exit" else {})

    with served(cluster, migrated) as receiver:
        where = (option, receiver.http if option == "--endpoint" else receiver.grpc)
        done = run_otelgres("replay", str(spool), *where)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "nothing left" in done.stdout
        assert spool_files(spool) == []
        assert stored(receiver.dsn) == (expected, expected)

        again = run_otelgres("replay", str(copy), *where, "--keep")
        assert again.returncode == 0
        assert len(spool_files(copy)) > 0
        assert stored(receiver.dsn) == (expected, expected)


def test_the_next_run_of_the_application_delivers_too(cluster: Cluster, migrated: str, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    left_behind(spool, "kill")

    with served(cluster, migrated) as receiver:
        source = "work('next run', 0, 50)\nsys.stdin.read()"
        with application(source, spool, f"http://{receiver.grpc}") as process:
            until(lambda: not spool_files(spool), "the spool to be empty")
            process.communicate("", timeout=TIMEOUT)
        expected = EXPECTED | {"next run": 50}
        assert stored(receiver.dsn) == (expected, expected)


KEEPS_WORKING = """
work("before", 0, 400)
telemetry.force_flush()
print("before", flush=True); sys.stdin.readline()
for part in range(10):
    work("during", part * 100, part * 100 + 100)
    telemetry.force_flush()
print("during", flush=True); sys.stdin.readline()
work("after", 0, 100)
"""


def test_a_receiver_killed_while_an_application_sends_loses_nothing(
    cluster: Cluster, migrated: str, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    with postgres.new_database(cluster, migrated) as dsn:
        with serve(dsn, str(tmp_path / "receiver spool")) as process:
            first = Serving(process, process.ready())
            with application(KEEPS_WORKING, spool, first.http, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf") as working:
                assert working.stdout is not None
                assert working.stdin is not None
                assert working.stdout.readline() == "before\n"
                process.stop(signal.SIGKILL)
                working.stdin.write("\n")
                working.stdin.flush()
                assert working.stdout.readline() == "during\n"
                assert spool_files(spool)

                ports = ("--grpc", first.grpc, "--http", first.http.removeprefix("http://"))
                with serve(dsn, str(tmp_path / "receiver spool"), *ports) as second:
                    second.ready()
                    until(lambda: not spool_files(spool), "the spool to be empty")
                    working.communicate("\n", timeout=TIMEOUT)
                    assert working.returncode == 0
                    assert second.stop() == 0, second.errors
        expected = {"before": 400, "during": 1000, "after": 100}
        assert stored(dsn) == (expected, expected)


def json_lines(path: Path) -> None:
    """As the stock Collector's file exporter writes them, the last one torn by a kill."""
    lines = []
    for number in range(3):
        record = {"timeUnixNano": "1790000000000000000", "body": {"stringValue": f"line {number}"}}
        span = {
            "traceId": f"{number + 1:032x}", "spanId": f"{number + 1:016x}", "name": f"line {number}",
            "startTimeUnixNano": "1790000000000000000", "endTimeUnixNano": "1790000000000000001",
        }  # fmt: skip
        lines += [
            json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}),
            json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}),
        ]
    path.write_text("\n".join(lines) + "\n")


def test_json_lines_of_the_stock_collector_are_sent_and_kept_unless_told(
    cluster: Cluster, migrated: str, tmp_path: Path
) -> None:
    json_lines(tmp_path / "telemetry.json")
    with served(cluster, migrated) as receiver:
        for options, kept in (((), True), (("--delete",), False)):
            done = run_otelgres("replay", str(tmp_path), "--endpoint", receiver.http, *options)
            assert done.returncode == 0, done.stdout
            assert (tmp_path / "telemetry.json").exists() is kept
            assert stored(receiver.dsn) == ({"line": 3}, {"line": 3})

        json_lines(tmp_path / "torn.jsonl")
        with (tmp_path / "torn.jsonl").open("a") as file:
            file.write('{"resourceLogs":[{"scopeLo')
        done = run_otelgres("replay", str(tmp_path), "--endpoint", receiver.http, "--delete")
        assert done.returncode == 1
        assert "1 damaged" in done.stdout
        assert (tmp_path / "torn.jsonl").exists()
        assert stored(receiver.dsn) == ({"line": 3}, {"line": 3})


def test_without_a_receiver_nothing_is_lost_and_files_in_use_are_skipped(tmp_path: Path) -> None:
    living, dead = SpoolExporter(tmp_path), SpoolExporter(tmp_path)
    for sink in (living, dead):
        sink.write([Batch(Signal.LOGS, b"\n\x00")])
    dead.close()
    before = {path: path.read_bytes() for path in spool_files(tmp_path)}

    done = run_otelgres("replay", str(tmp_path), "--grpc", f"127.0.0.1:{unused_port()}")

    assert done.returncode == 1
    assert "in use" in done.stdout
    assert "2 of 2 files left" in done.stdout
    assert {path: path.read_bytes() for path in spool_files(tmp_path)} == before
    living.close()


def test_a_receivers_folders_are_replayed_too_with_what_was_set_aside(
    cluster: Cluster, migrated: str, tmp_path: Path
) -> None:
    lines: list[bytes] = []
    for number in range(4):
        request = ExportLogsServiceRequest()
        record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=1_790_000_000_000_000_000)
        record.body.string_value = f"line {number}"
        lines.append(request.SerializeToString())
    for folder in ("0", "1"):
        spool = SpoolQueue(tmp_path / folder, 1 << 20)
        spool.append([Batch(Signal.LOGS, lines.pop()), Batch(Signal.LOGS, lines.pop())])
        kept, quarantined = spool.read(1 << 20)
        spool.quarantine(quarantined)
        spool.forget(quarantined.position)
        spool.append([kept.batch])
        spool.close()
    with served(cluster, migrated) as receiver:
        done = run_otelgres("replay", str(tmp_path), "--endpoint", receiver.http)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "4 items in 4 batches sent" in done.stdout
        assert stored(receiver.dsn)[0] == {"line": 4}
    assert list(tmp_path.rglob("*.spool")) == []


def test_invalid_arguments_are_errors(tmp_path: Path) -> None:
    for arguments in (("--grpc", "x:1", "--endpoint", "http://x"), ("--endpoint", "ftp://x"), ("--grpc", ":1")):
        done = run_otelgres("replay", str(tmp_path), *arguments)
        assert done.returncode == 2, done.stderr
        assert "Use either" in done.stderr or f"invalid address {arguments[1]!r}" in done.stderr
    assert run_otelgres("replay", str(tmp_path / "nowhere")).returncode == 2
