"""Runs of real processes through a real receiver: what they say, how they die, and what they must not send."""

import json
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from otelgres.collector.embedded import Cluster
from tests.acceptance.receiver_process import Serving, environment, served
from tests.waiting import TIMEOUT, until

ROOT = Path(__file__).parents[2]
EXECUTION = uuid.UUID("0c0a2f4e-7d7e-4a5e-9a5b-1f6f6a0c9d11")
APPLICATION = f"""
import asyncio, concurrent.futures, logging, threading
from otel_setup import configure_telemetry, flow, phase, shutdown_telemetry
from otel_setup.runs import *

configure_telemetry("atm")
log = logging.getLogger("atm.retrieval")


@run_phase("connect")
def connect(execution):
    log.info("connecting", extra={{"performance_metrics": {{"attempts": 2}}}})
    execution.set(connection_status="established")


async def details(execution, number):
    with execution.terminal(f"T{{number}}", region_code="north"):
        await asyncio.sleep(0)
        log.warning("terminal %d is slow", number)
        execution.processed("terminal_details")


async def all_details(execution):
    async with execution.phase("details"):
        await asyncio.gather(*(details(execution, number) for number in range(4)))


def in_thread(execution):
    with execution.terminal("T9"):
        try:
            raise ConnectionError("no answer")
        except ConnectionError as error:
            execution.error(error, "terminal failed", host="10.0.0.9")


with run("retrieval", "{EXECUTION}", total_atms=5, started_by="cron", carry={{"branch": "b1"}}) as execution:
    connect(execution)
    asyncio.run(all_details(execution))
    with execution.phase("save"):
        thread = threading.Thread(target=in_thread, args=(execution,))
        thread.start()
        thread.join()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pool.submit(log.info, "saved").result()
    execution.set(regional_records_processed=7)
    assert current_run() is execution
    assert execution.metrics.log_counts == {{"INFO": 2, "WARNING": 4, "ERROR": 1}}
assert current_run() is None


@run("nightly", total_atms=1)
def nightly():
    with run_phase("auth"):
        raise PermissionError("refused")


@run("nightly")
async def quietly_failed():
    current_run().fail("authentication", connection_status="refused")
    current_run().failover()


try:
    nightly()
except PermissionError:
    pass
asyncio.run(quietly_failed())
with flow("plain"), phase("inside"):
    log.error("in a plain phase")
with run("named", "2026-03-04 nightly"):
    pass
shutdown_telemetry()
"""


def python(program: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(**environ), capture_output=True, text=True, timeout=TIMEOUT
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def receiver(cluster: Cluster, migrated: str) -> Iterator[Serving]:
    with served(cluster, migrated) as receiver:
        python(APPLICATION, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}")
        yield receiver


def summary(receiver: Serving, name: str) -> list[dict[str, Any]]:
    return receiver.rows("SELECT * FROM compat.execution_summary WHERE name = %s ORDER BY start_time", name)


def test_a_run_has_every_column(receiver: Serving) -> None:
    (row,) = receiver.rows("SELECT * FROM compat.execution_summary WHERE execution_id = %s", EXECUTION)
    assert row["end_time"] > row["start_time"]
    assert row["duration_seconds"] == round((row["end_time"] - row["start_time"]).total_seconds())
    assert (row["demo_mode"], row["total_atms"], row["success"]) == (False, 5, True)
    assert (row["failover_activated"], row["failure_type"], row["connection_status"]) == (False, None, "established")
    assert (row["regional_records_processed"], row["terminal_details_processed"]) == (7, 4)
    assert (row["error_count"], row["warning_count"], row["info_count"]) == (1, 4, 2)
    assert row["created_at"] is not None
    assert (row["name"], row["state"], row["started_by"], row["services"]) == ("retrieval", "ended", "cron", ["atm"])
    found = row["performance_summary"]
    assert {name: phase["count"] for name, phase in found["phases"].items()} == {"connect": 1, "details": 1, "save": 1}
    assert all(phase["duration_ms"] >= phase["max_ms"] > 0 for phase in found["phases"].values())
    assert found["log_counts"] == {"INFO": 2, "WARNING": 4, "ERROR": 1}
    assert found["processed"] == {"terminal_details": 4}
    assert found["per_second"]["terminal_details"] > 0


def test_a_log_event_has_every_column(receiver: Serving) -> None:
    (row,) = receiver.rows("SELECT * FROM compat.log_events WHERE message = 'connecting'")
    assert (row["execution_id"], row["level"], row["logger_name"]) == (EXECUTION, "INFO", "atm.retrieval")
    assert (row["function_name"], row["execution_phase"], row["terminal_id"]) == ("connect", "connect", None)
    assert row["performance_metrics"] == {"attempts": 2}
    assert row["error_details"] is None
    assert row["line_number"] > 0
    assert row["created_at"] >= row["timestamp"]
    ids = receiver.rows("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM compat.log_events")
    assert ids[0]["n"] == ids[0]["ids"]


def test_tasks_keep_their_terminals(receiver: Serving) -> None:
    found = receiver.rows(
        "SELECT terminal_id, region_code, execution_phase, execution_id FROM compat.log_events "
        "WHERE level = 'WARNING' ORDER BY 1"
    )
    assert found == [
        {"terminal_id": f"T{number}", "region_code": "north", "execution_phase": "details", "execution_id": EXECUTION}
        for number in range(4)
    ]


def test_threads_are_part_of_the_run_and_errors_have_details(receiver: Serving) -> None:
    (row,) = receiver.rows("SELECT * FROM compat.log_events WHERE message = 'terminal failed'")
    assert (row["execution_id"], row["execution_phase"], row["terminal_id"]) == (EXECUTION, "save", "T9")
    assert row["function_name"] == "in_thread"
    details = row["error_details"]
    assert (details["type"], details["message"]) == ("ConnectionError", "no answer")
    assert "raise ConnectionError" in details["stack"] or "in in_thread" in details["stack"]
    assert details["context"] == {
        "host": "10.0.0.9", "execution_phase": "save", "terminal_id": "T9", "branch": "b1"
    }  # fmt: skip
    (pooled,) = receiver.rows("SELECT * FROM compat.log_events WHERE message = 'saved'")
    assert (pooled["execution_id"], pooled["execution_phase"]) == (EXECUTION, "save")


def test_what_is_carried_is_on_every_log_and_span(receiver: Serving) -> None:
    spans = receiver.rows("SELECT attributes ->> 'branch' AS branch FROM otel.spans WHERE flow_id = %s", EXECUTION)
    logs = receiver.rows("SELECT attributes ->> 'branch' AS branch FROM otel.logs WHERE flow_id = %s", EXECUTION)
    assert len(spans) >= 5
    assert len(logs) >= 7
    assert {row["branch"] for row in spans + logs} == {"b1"}


def test_a_failed_run_says_why(receiver: Serving) -> None:
    raised, failed = summary(receiver, "nightly")
    assert (raised["success"], raised["failure_type"], raised["total_atms"]) == (False, "PermissionError", 1)
    assert raised["performance_summary"]["phases"]["auth"]["errors"] == 1
    assert (failed["success"], failed["failure_type"], failed["failover_activated"]) == (
        False,
        "authentication",
        True,
    )
    assert failed["connection_status"] == "refused"
    statuses = receiver.rows("SELECT status FROM otel.flows WHERE name = 'nightly'")
    assert [row["status"] for row in statuses] == ["ERROR", "ERROR"]


def test_plain_flows_and_phases_are_runs_too(receiver: Serving) -> None:
    (row,) = summary(receiver, "plain")
    assert (row["success"], row["error_count"]) == (True, 1)
    (event,) = receiver.rows("SELECT * FROM compat.log_events WHERE execution_id = %s", row["execution_id"])
    assert event["execution_phase"] == "inside"


def test_an_id_that_is_no_uuid_is_kept(receiver: Serving) -> None:
    (row,) = summary(receiver, "named")
    spans = receiver.rows("SELECT attributes FROM otel.spans WHERE flow_id = %s", row["execution_id"])
    assert {span["attributes"]["execution_id"] for span in spans} == {"2026-03-04 nightly"}


def test_people_add_columns_of_their_own(receiver: Serving) -> None:
    receiver.rows("SELECT compat.map_column('log_events', 'branch', 'branch')")
    assert receiver.rows("SELECT DISTINCT branch FROM compat.log_events WHERE execution_id = %s", EXECUTION) == [
        {"branch": "b1"}
    ]


KILLED = """
import logging, sys
from otel_setup import configure_telemetry
from otel_setup.runs import *
telemetry = configure_telemetry("doomed")
with run("doomed", total_atms=3) as execution:
    execution.failover(connection_status="lost")
    with execution.phase("details"):
        logging.getLogger("atm").error("about to die")
        telemetry.force_flush()
        print(execution.execution_id, flush=True)
        sys.stdin.read()
"""


def test_a_killed_run_is_a_failed_run(receiver: Serving) -> None:
    env = environment(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}", OTELGRES_TELEMETRY_REPORT_INTERVAL="0.5")
    with subprocess.Popen([sys.executable, "-c", KILLED], env=env, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        execution = uuid.UUID(process.stdout.readline().strip())

        def look() -> list[dict[str, Any]]:
            return receiver.rows("SELECT * FROM compat.execution_summary WHERE execution_id = %s", execution)

        (row,) = until(look, "the run")
        assert (row["success"], row["end_time"], row["duration_seconds"]) == (None, None, None)
        assert (row["state"], row["total_atms"], row["error_count"]) == ("running", 3, 1)
        process.send_signal(signal.SIGKILL)
    (row,) = until(lambda: [row for row in look() if row["success"] is not None], "the end of it", 60)
    assert (row["success"], row["failure_type"], row["state"]) == (False, "abandoned", "abandoned")
    assert (row["failover_activated"], row["connection_status"], row["total_atms"]) == (True, "lost", 3)
    assert row["end_time"] > row["start_time"]


EVERYTHING_INSIDE = """
    logging.getLogger("atm").error("not to be sent")
    DatabaseLogHandler("atm").handle(logging.makeLogRecord({"name": "x", "levelno": 40, "msg": "not to be sent"}))
    record_event("mine", {"a": 1})
    trace.get_tracer("any").start_span("not to be sent").end()
    with execution.phase("one"), flow("another"), phase("two"):
        checkpoint("THREE")
        thread = threading.Thread(target=lambda: logging.getLogger("atm").info("in a thread"))
        thread.start()
        thread.join()
    with run("inside", enable_db_logging=True):
        logging.getLogger("atm").info("nor this")
    execution.fail("nothing")
    summary = execution.performance_summary()
    assert summary["log_counts"] == {"ERROR": 1, "INFO": 1}, summary
    assert summary["phases"]["one"]["count"] == 1
"""
IMPORTS = """
import logging, threading
from opentelemetry import metrics, trace
from otel_setup import *
from otel_setup.runs import *
"""
TABLES = (
    "spans", "logs", "number_points", "histogram_points", "exponential_histogram_points", "summary_points",
    "resources", "digests", "losses", "flow_parts",
)  # fmt: skip


def stored(receiver: Serving) -> dict[str, int]:
    return {table: receiver.rows(f"SELECT count(*) AS n FROM _otel.{table}")[0]["n"] for table in TABLES}


@pytest.mark.parametrize("argument", ["demo_mode=True", "enable_db_logging=False"])
def test_a_process_without_database_logging_sends_nothing(
    cluster: Cluster, migrated: str, tmp_path: Path, argument: str
) -> None:
    program = IMPORTS + f"configure_run_logging('atm', {argument}, log_file={str(tmp_path / 'a' / 'run.log')!r})\n"
    program += f"with run('retrieval') as execution:{EVERYTHING_INSIDE}"
    program += "logging.getLogger('atm').error('outside of any run')\n"
    program += "metrics.get_meter('atm').create_counter('terminals').add(1)\nshutdown_telemetry()\n"
    with served(cluster, migrated) as receiver:
        before = stored(receiver)
        done = python(program, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}")
        # What would have been sent at the end would have been answered by now: sending is waited for.
        assert stored(receiver) == before == dict.fromkeys(TABLES, 0)
    lines = (tmp_path / "a" / "run.log").read_text().splitlines()
    assert any(line.endswith("not to be sent") for line in lines)
    assert any(line.endswith("in a thread") and " one - " not in line for line in lines)
    assert len(re.findall(r"not to be sent|in a thread|nor this", done.stderr)) == 3


@pytest.mark.parametrize("argument", ["demo_mode=True", "enable_db_logging=False"])
@pytest.mark.parametrize("sampler", ["parentbased_always_on", "always_on"])
def test_a_run_without_database_logging_sends_nothing_beside_one_that_does(
    cluster: Cluster, migrated: str, argument: str, sampler: str
) -> None:
    program = (
        IMPORTS + f"configure_telemetry('atm')\nwith run('retrieval', {argument}) as execution:{EVERYTHING_INSIDE}"
    )
    program += "with run('real'):\n    logging.getLogger('atm').info('to be sent')\nshutdown_telemetry()\n"
    with served(cluster, migrated) as receiver:
        python(program, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}", OTEL_TRACES_SAMPLER=sampler)
        assert receiver.rows("SELECT name FROM compat.execution_summary") == [{"name": "real"}]
        assert receiver.rows("SELECT name FROM otel.flows") == [{"name": "real"}]
        bodies = receiver.rows("SELECT body FROM otel.logs WHERE body IS NOT NULL")
        assert bodies == [{"body": "to be sent"}]
        found = receiver.rows("SELECT count(DISTINCT flow_id) AS n FROM otel.logs WHERE flow_id IS NOT NULL")
        assert found == [{"n": 1}]
        assert receiver.rows("SELECT DISTINCT flow_name FROM otel.span_starts") == [{"flow_name": "real"}]
        assert receiver.rows("SELECT count(DISTINCT flow_id) AS n FROM otel.spans") == [{"n": 1}]


def test_a_handler_sends_its_logger_alone_and_nothing_twice(cluster: Cluster, migrated: str) -> None:
    program = (
        IMPORTS
        + """
logging.getLogger().setLevel("INFO")
handled = logging.getLogger("handled")
handled.addHandler(DatabaseLogHandler("atm"))
with run("handled"):
    handled.info("one")
    logging.getLogger("other").info("not handled")
shutdown_telemetry()
"""
    )
    both = program.replace('logging.getLogger().setLevel("INFO")', "configure_telemetry('both')")
    with served(cluster, migrated) as receiver:
        for text in (program, both):
            python(text, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}")
        found = receiver.rows(
            "SELECT service_name, body, flow_id IS NOT NULL AS in_run FROM otel.logs "
            "WHERE body IS NOT NULL ORDER BY 1, 2"
        )
        assert [tuple(row.values()) for row in found] == [
            ("atm", "one", True), ("both", "not handled", True), ("both", "one", True)
        ]  # fmt: skip


def test_files_are_rotated_by_the_standard_library(tmp_path: Path) -> None:
    log_file = tmp_path / "run.log"
    python(
        IMPORTS
        + f"""
configure_run_logging(enable_db_logging=False, console=False, log_file={str(log_file)!r}, max_bytes=2000, backups=2)
with run("rotated", "{EXECUTION}") as execution, execution.phase("p"), execution.terminal("T1"):
    for number in range(100):
        logging.getLogger("atm").info("line %d", number)
"""
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.log", "run.log.1", "run.log.2"]
    assert log_file.read_text().endswith(f"INFO atm [{EXECUTION} p T1] line 99\n")


def test_a_file_that_cannot_be_opened_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = python(
        IMPORTS + f"configure_run_logging(enable_db_logging=False, log_file={str(tmp_path / 'file' / 'x')!r})"
    )
    assert "cannot write log file" in done.stderr


def test_figures_without_telemetry_at_all() -> None:
    done = python(
        IMPORTS
        + """
import json
metrics = LogMetricsCollector()
with metrics.phase("load"):
    metrics.count_processed("terminals", 3)
metrics.count_log("ERROR")
print(json.dumps(metrics.summary()))
"""
    )
    found = json.loads(done.stdout)
    assert (found["log_counts"], found["processed"]) == ({"ERROR": 1}, {"terminals": 3})
    assert found["phases"]["load"]["count"] == 1
    assert found["per_second"]["terminals"] > 0


def example(receiver: Serving, *arguments: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "examples" / "runs.py"), *arguments],
        env=environment(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}", OTELGRES_DSN=receiver.dsn),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stderr
    return done


# Equivalents of what such a system's dashboards ask.
QUESTIONS = {
    """SELECT execution_id, start_time, duration_seconds / 60 AS minutes, success, failover_activated,
           connection_status, terminal_details_processed, error_count
       FROM execution_summary ORDER BY start_time DESC LIMIT 10""": 3,
    """SELECT execution_phase, count(*), count(DISTINCT execution_id) AS runs, min(timestamp), max(timestamp)
       FROM log_events WHERE level = 'ERROR' AND timestamp >= now() - interval '7 days'
       GROUP BY execution_phase ORDER BY 2 DESC""": 1,
    """SELECT terminal_id, count(*), count(DISTINCT execution_id) AS runs, string_agg(DISTINCT level, ', ')
       FROM log_events WHERE terminal_id IS NOT NULL AND level IN ('ERROR', 'WARNING')
           AND timestamp >= now() - interval '30 days' GROUP BY terminal_id ORDER BY 2 DESC""": 1,
    "SELECT id, module, function_name, line_number, region_code, performance_metrics FROM log_events LIMIT 5": 5,
}


def test_the_example_prints_what_it_promises(cluster: Cluster, migrated: str, tmp_path: Path) -> None:
    with served(cluster, migrated) as receiver:
        log_file = tmp_path / "demo.log"
        demo = example(receiver, "--demo", "--log-file", str(log_file))
        assert len(re.findall(r"^[0-9a-f-]{36} (?:succeeded|failed)$", demo.stdout, re.MULTILINE)) == 3
        assert stored(receiver) == dict.fromkeys(TABLES, 0)
        assert "T13 was not read" in log_file.read_text()
        lines = example(receiver).stdout.splitlines()
        assert [line.split()[1] for line in lines[:3]] == ["succeeded", "succeeded", "failed"]
        output = "\n".join(lines[3:])
        assert "success False, failover_activated False, failure_type terminals_missing" in output
        assert "success True, failover_activated True, failure_type None, connection_status failover" in output
        assert "terminal_details_processed 13, error_count 1" in output
        assert "execution_phase terminals, terminal_id T13, type TimeoutError, count 1, runs 1" in output
        assert "phase terminals, count 1, errors 0" in output
        assert "name atm retrieval, runs 3, succeeded 2, failed 1, abandoned 0, failovers 1" in output
        with psycopg.connect(receiver.dsn) as connection:
            connection.execute("SET search_path = compat, public")
            for question, number in QUESTIONS.items():
                assert len(connection.execute(question.encode()).fetchall()) == number, question
