"""Pipelines of a real application through a real receiver: progress, logs, events, metrics, what is open or gone."""

import os
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
EXPERIMENT = uuid.uuid5(uuid.NAMESPACE_URL, "experiment")
OTHER = uuid.uuid5(uuid.NAMESPACE_URL, "other experiment")
APPLICATION = f"""
import asyncio, logging, threading, time
from concurrent.futures import ThreadPoolExecutor
from otel_setup import configure_telemetry, shutdown_telemetry
from otel_setup.pipelines import *

configure_telemetry(service_name="trainer", metric_interval=0.5)
logging.getLogger().addHandler(logging.NullHandler())
log = get_structured_logger("trainer.work", run="r1")


@step("read", units=4, unit="file")
def read():
    log.info("reading", rows=5, performance={{"duration_ms": 2.5}}, name="taken", args=(1,))
    logging.getLogger("library").warning("plain %s", "words")


@step("score")
async def score(fold):
    await asyncio.sleep(0)
    log.debug("not exported at INFO")
    with substep(f"fold {{fold}}"):
        log.info("fold", fold=fold)
        await asyncio.sleep(0)


async def folds():
    await asyncio.gather(*(score(number) for number in range(3)))


@step("explode")
def explode():
    raise MemoryError("out of memory")


with pipeline("train", "{EXPERIMENT}", "geo clusters", parts=4) as whole:
    pipeline_event("started", "off we go", details={{"gpus": 2, "tags": ["a", "b"]}})
    with phase("load", units=10, unit="row") as load:
        for _ in range(4):
            load.advance()
        load.update(message="almost")
        with ResourceSampler(0.2):
            pass
        metric("throughput", 125.5, "{{row}}/s", source="disk")
        metric("loss", 0.25)
        metric("nonsense", float("nan"))
    with phase("fit", parts=2):
        read()
        asyncio.run(folds())
    try:
        with phase("export"):
            try:
                with log.timed("exporting"):
                    explode()
            except MemoryError:
                log.error("memory ran out", shard=3)
                raise
    except MemoryError:
        pass

    def in_thread(number):
        with LoggingContext(node_id=f"thread-{{number}}", shard=number):
            log.info("in a thread", number=number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(in_thread, range(8)))
with LoggingContext(experiment_name="by hand", experiment_id="not a uuid", stage="loose"):
    log.critical("loose end", exc_info=False)
    record_progress("a", percent=50, status="running")
with LoggingContext("{OTHER}", "other"):
    log.error("another's error")
record_progress("nowhere", percent=1)
log.info("outside of any experiment")
shutdown_telemetry()
"""


@pytest.fixture(scope="module")
def receiver(cluster: Cluster, migrated: str) -> Iterator[Serving]:
    with served(cluster, migrated) as receiver:
        done = subprocess.run(
            [sys.executable, "-c", APPLICATION],
            env=environment(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}"),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert (done.returncode, done.stderr) == (0, "")
        yield receiver


def of_experiment(receiver: Serving, relation: str, order: str = "timestamp") -> list[dict[str, Any]]:
    return receiver.rows(f"SELECT * FROM compat.{relation} WHERE experiment_id = %s ORDER BY {order}", EXPERIMENT)


def test_progress_is_a_tree_that_adds_up(receiver: Serving) -> None:
    found = {row["node_id"]: row for row in of_experiment(receiver, "pipeline_progress", "started_at")}
    assert {node: (row["level"], row["status"]) for node, row in found.items()} == {
        "train": ("pipeline", "completed"),
        "train/load": ("phase", "completed"),
        "train/fit": ("phase", "completed"),
        "train/fit/read": ("step", "completed"),
        "train/fit/score": ("step", "completed"),
        **{f"train/fit/score/fold {number}": ("substep", "completed") for number in range(3)},
        "train/export": ("phase", "failed"),
        "train/export/explode": ("step", "failed"),
    }
    load = found["train/load"]
    assert (load["completed_units"], load["total_units"], load["unit"]) == (4, 10, "row")
    assert (load["progress_percent"], load["message"], load["parent_id"]) == (40, "almost", "train")
    assert found["train/export"]["message"] == "MemoryError: out of memory"
    assert found["train/export"]["progress_percent"] == 0
    assert found["train/fit"]["children"] == 2
    assert all(row["experiment_name"] == "geo clusters" and row["completed_at"] for row in found.values())
    assert len({row["id"] for row in found.values()}) == len(found)


def test_the_tree_in_order(receiver: Serving) -> None:
    found = receiver.rows("SELECT * FROM compat.get_progress_tree(%s)", EXPERIMENT)
    assert [row["tree"] for row in found][:4] == ["train", "  load", "  fit", "    read"]
    assert min(row["tree"] for row in found).startswith("      fold")
    assert found[-1]["tree"] == "    explode"
    assert [row["depth"] for row in found] == [row["tree"].count("  ") for row in found]


def test_the_summary(receiver: Serving) -> None:
    (found,) = of_experiment(receiver, "pipeline_progress_summary", "started_at")
    assert (found["experiment_name"], found["status"], found["progress_percent"]) == ("geo clusters", "failed", 100)
    assert (found["nodes"], found["completed_nodes"], found["failed_nodes"], found["running_nodes"]) == (10, 8, 2, 0)
    by_hand = receiver.rows("SELECT * FROM compat.pipeline_progress_summary WHERE experiment_name = 'by hand'")
    assert [(row["status"], row["progress_percent"], row["nodes"]) for row in by_hand] == [("running", 50, 1)]


def test_every_record_carries_the_experiment(receiver: Serving) -> None:
    found = of_experiment(receiver, "pipeline_logs")
    reading, plain = (row for row in found if row["message"] in ("reading", "plain words"))
    assert (reading["level"], reading["logger"], reading["node_id"]) == ("INFO", "trainer.work", "train/fit/read")
    assert (reading["stage"], reading["experiment_name"]) == ("fit", "geo clusters")
    assert reading["performance"] == {"duration_ms": 2.5}
    assert reading["context"] == {
        "rows": 5, "run": "r1", "name_": "taken", "args_": [1], "experiment_id": str(EXPERIMENT),
        "experiment_name": "geo clusters", "node_id": "train/fit/read", "stage": "fit",
    }  # fmt: skip
    assert (plain["level"], plain["logger"], plain["node_id"]) == ("WARNING", "library", "train/fit/read")
    folds = [row for row in found if row["message"] == "fold"]
    assert sorted((row["context"]["fold"], row["node_id"]) for row in folds) == [
        (number, f"train/fit/score/fold {number}") for number in range(3)
    ]
    threads = [row for row in found if row["message"] == "in a thread"]
    assert sorted((row["node_id"], row["context"]["shard"]) for row in threads) == [
        (f"thread-{number}", number) for number in range(8)
    ]
    assert {row["flow_id"] for row in found} == {reading["flow_id"]}
    assert not any(row["message"].startswith("not exported") for row in found)
    timed = next(row for row in found if row["message"] == "exporting")
    assert (timed["level"], timed["error_type"]) == ("ERROR", "MemoryError")
    assert timed["performance"]["duration_ms"] > 0 <= timed["performance"]["cpu_time_ms"]
    assert receiver.rows("SELECT 1 FROM compat.pipeline_logs WHERE message LIKE 'outside%%'") == []


def test_errors_have_their_traceback_and_are_summed_up(receiver: Serving) -> None:
    found = receiver.rows(
        "SELECT * FROM compat.get_experiment_logs(%s, p_level := 'ERROR', p_search := 'MEMORY', p_limit := 50)",
        EXPERIMENT,
    )
    assert [row["message"] for row in found] == ["memory ran out", "exporting"]
    assert "in explode\n" in found[0]["traceback"]
    assert found[0]["context"]["shard"] == 3
    summary = receiver.rows("SELECT * FROM compat.get_error_summary(%s)", EXPERIMENT)
    assert [(row["error_type"], row["level"], row["error_count"]) for row in summary] == [("MemoryError", "ERROR", 3)]
    assert summary[0]["nodes"] == ["train/export", "train/export/explode"]
    recent = receiver.rows(
        "SELECT * FROM compat.recent_experiment_errors WHERE experiment_id = %s AND experiment_name = 'geo clusters'",
        EXPERIMENT,
    )
    # What made a part fail is told once, however many parts it passes through.
    assert [row["logger"] for row in recent].count("step_failed") == 1
    assert not any(row["logger"] == "phase_failed" for row in recent)
    assert [row["timestamp"] for row in recent] == sorted((row["timestamp"] for row in recent), reverse=True)
    (loose,) = receiver.rows("SELECT * FROM compat.recent_experiment_errors WHERE experiment_name = 'by hand'")
    assert (loose["level"], loose["message"], loose["stage"]) == ("CRITICAL", "loose end", "loose")


def test_logs_by_level_by_text_and_no_more_than_asked_for(receiver: Serving) -> None:
    def messages(arguments: str) -> list[str]:
        query = f"SELECT message FROM compat.get_experiment_logs('{EXPERIMENT}'{arguments})"
        return [row["message"] for row in receiver.rows(query)]

    assert len(messages("")) == 15
    assert messages(", 'warning'") == ["plain words"]
    assert messages(", 'WARNING+', 'plain'") == ["plain words"]
    assert set(messages(", 'WARNING+'")) == {"memory ran out", "exporting", "plain words"}
    assert len(messages(", p_limit := 3")) == 3
    assert messages(", p_search := ''' OR true --'") == []
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="unknown level LOUD"):
        messages(", 'LOUD'")


def test_events_have_severity_and_details(receiver: Serving) -> None:
    started, failed = of_experiment(receiver, "pipeline_events")
    assert (started["event_type"], started["severity"], started["message"]) == ("started", "INFO", "off we go")
    assert started["details"] == {"gpus": 2, "tags": ["a", "b"]}
    assert (started["node_id"], started["service_name"]) == ("train", "trainer")
    assert (failed["event_type"], failed["severity"]) == ("step_failed", "ERROR")
    assert failed["details"]["error_type"] == "MemoryError"


def test_metrics_carry_the_experiment(receiver: Serving) -> None:
    found = of_experiment(receiver, "pipeline_metrics")
    by_name = {row["metric_name"]: row for row in found}
    assert {row["metric_type"] for row in found} == {"cpu", "memory", "disk", "throughput", "custom"}
    assert {"process.cpu.utilization", "process.memory.usage", "system.filesystem.utilization"} <= set(by_name)
    assert "nonsense" not in by_name
    throughput = by_name["throughput"]
    assert (throughput["metric_value"], throughput["unit"], throughput["stage"]) == (125.5, "{row}/s", "load")
    assert (throughput["node_id"], throughput["attributes"]["source"]) == ("train/load", "disk")
    assert by_name["loss"]["metric_value"] == 0.25
    assert by_name["process.memory.usage"]["metric_value"] > 1_000_000
    # Each sample is a row of its own, not one a metric interval.
    assert len({row["timestamp"] for row in found if row["metric_name"] == "process.memory.usage"}) >= 2


def test_nothing_of_one_experiment_is_in_another(receiver: Serving) -> None:
    query = "SELECT message, experiment_name FROM compat.pipeline_logs WHERE experiment_id = %s"
    assert receiver.rows(query, OTHER) == [{"message": "another's error", "experiment_name": "other"}]
    assert receiver.rows("SELECT 1 FROM compat.get_progress_tree(%s)", OTHER) == []
    assert receiver.rows("SELECT 1 FROM compat.pipeline_progress WHERE node_id = 'nowhere'") == []


def test_sizes(receiver: Serving) -> None:
    found = receiver.rows("SELECT * FROM compat.pipeline_table_sizes")
    assert {row["relation"] for row in found} == {
        "pipeline_logs", "pipeline_events", "pipeline_progress", "pipeline_metrics",
    }  # fmt: skip
    assert all(row["bytes"] > 0 and row["size"] for row in found)


HANGING = """
import sys
from otel_setup import configure_telemetry
from otel_setup.pipelines import *
configure_telemetry(service_name="hanging", report_interval=0.5)
with pipeline("nightly", sys.argv[1], "hanging", parts=2), phase("load", units=8) as load:
    load.update(done=2, message="two done")
    print("open", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("end", ["killed", "ended"])
def test_what_hangs_is_active_and_what_is_killed_abandoned(receiver: Serving, end: str) -> None:
    experiment = uuid.uuid4()
    process = subprocess.Popen(
        [sys.executable, "-c", HANGING, str(experiment)],
        env=environment(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def active() -> list[dict[str, Any]]:
        return receiver.rows("SELECT * FROM compat.active_pipeline_monitoring WHERE experiment_id = %s", experiment)

    def both() -> list[dict[str, Any]]:
        found = active()
        return found if [row["message"] for row in found][1:] == ["two done"] else []

    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        whole, load = until(both, "both to be seen")
        assert (whole["level"], whole["name"], whole["state"]) == ("pipeline", "nightly", "running")
        assert (load["level"], load["node_id"], load["stage"]) == ("phase", "nightly/load", "load")
        assert (load["progress_percent"], load["completed_units"], load["total_units"]) == (25, 2, 8)
        assert (whole["progress_percent"], load["status"], load["abandoned"]) == (12.5, "running", False)
        assert load["pid"] == process.pid
        last_seen = load["last_seen"]
        until(lambda: active()[1]["last_seen"] > last_seen, "a later heartbeat")
        if end == "ended":
            process.communicate("\n", timeout=TIMEOUT)
            until(lambda: not active(), "it to be gone")
        else:
            os.kill(process.pid, signal.SIGKILL)
            until(lambda: all(row["abandoned"] for row in active()), "it to be abandoned")
            assert {row["status"] for row in active()} == {"running"}
            assert "no report" in active()[0]["reason"]
    finally:
        process.kill()
        process.communicate()


def test_only_the_owner_cleans_up_and_today_is_kept(receiver: Serving) -> None:
    with psycopg.connect(receiver.dsn, autocommit=True) as connection:
        connection.execute("SET search_path = compat, public")
        connection.execute("SELECT _otel.make_partition('logs', now() - interval '40 days')")
        connection.execute("SELECT _otel.make_partition('logs', now() - interval '20 days')")
        before = connection.execute("SELECT count(*) FROM pipeline_logs").fetchone()
        assert connection.execute("SELECT cleanup_old_logs(30)").fetchone() == (1,)
        assert connection.execute("SELECT cleanup_old_logs(30)").fetchone() == (0,)
        assert connection.execute("SELECT cleanup_old_logs(1)").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM pipeline_logs").fetchone() == before
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="days must be at least 1"):
            connection.execute("SELECT cleanup_old_logs(0)")
        connection.execute("SET ROLE otelgres_reader")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for function"):
            connection.execute("SELECT compat.cleanup_old_logs(30)")
        # All the rest is a reader's.
        for query in (
            "SELECT count(*) FROM recent_experiment_errors", "SELECT count(*) FROM active_pipeline_monitoring",
            "SELECT count(*) FROM pipeline_progress", "SELECT count(*) FROM pipeline_progress_summary",
            "SELECT count(*) FROM pipeline_metrics", "SELECT count(*) FROM pipeline_events",
            "SELECT count(*) FROM pipeline_table_sizes",
            f"SELECT count(*) FROM get_progress_tree('{EXPERIMENT}'::uuid)",
            f"SELECT count(*) FROM get_experiment_logs('{EXPERIMENT}'::uuid)",
            f"SELECT count(*) FROM get_error_summary('{EXPERIMENT}'::uuid)",
        ):  # fmt: skip
            connection.execute("SET search_path = compat, public")
            connection.execute(query.encode())


OWN_QUERIES = (
    "SELECT * FROM recent_experiment_errors WHERE experiment_name = 'geo clusters' LIMIT 10",
    f"SELECT * FROM get_progress_tree('{EXPERIMENT}'::uuid)",
    f"SELECT * FROM get_experiment_logs('{EXPERIMENT}'::uuid, p_level := 'ERROR', p_search := 'memory', p_limit := 50)",
    "SELECT * FROM active_pipeline_monitoring",
    "SELECT cleanup_old_logs(30)",
    "SELECT tablename, pg_total_relation_size(schemaname||'.'||tablename) FROM pg_tables WHERE tablename LIKE 'pipe%'",
)


@pytest.mark.parametrize("query", OWN_QUERIES)
def test_queries_of_people_who_had_tables_run_unchanged(receiver: Serving, query: str) -> None:
    with psycopg.connect(receiver.dsn) as connection:
        connection.execute("SET search_path = compat, public")
        found = connection.execute(query.encode()).fetchall()
    assert found or "active" in query or "pg_tables" in query


def test_the_example_prints_what_its_page_promises(receiver: Serving) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "examples" / "pipeline.py")],
        env=environment(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}", OTELGRES_DSN=receiver.dsn),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:9] == [
        "progress",
        "  geo              completed  100.0 %",
        "    load           completed  100.0 %",
        "      read tiles   completed  100.0 %",
        "    cluster        completed  100.0 %",
        "      fold 1       completed  100.0 %",
        "      fold 2       completed  100.0 %",
        "    publish        failed       0.0 %",
        "errors",
    ]
    assert "  INFO tiles read north" in lines
    assert "  MemoryError 1 ['geo/publish']" in lines
    assert {"  cpu process.cpu.utilization", "  memory process.memory.usage", "  custom silhouette"} <= set(lines)
