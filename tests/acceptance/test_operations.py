"""Operations from a real application through a real receiver: documents, views, files, summaries, training sets."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest

from otelgres.collector.embedded import Cluster
from tests.acceptance.receiver_process import Serving, environment, rows, run_otelgres, served
from tests.waiting import TIMEOUT

ROOT = Path(__file__).parents[2]
APPLICATION = """
import threading
from otel_setup import configure_telemetry, flow, shutdown_telemetry
from otel_setup.operations import *
from otel_setup.operations import DatabaseLogger

configure_telemetry(service_name="crm")
with session("a1b2c3d4"), flow("import"):
    log_database_event(
        "database_operation",
        {"lead_id": "uuid-123", "name": "John Doe", "company": "Test Corp", "email": "john@test.com", "note": "x"},
        {"success": True, "records_affected": 1, "execution_time_ms": 150.5, "duplicate_detected": False},
        {"operation_type": "add_lead",
         "performance_metrics": {"execution_time_ms": 150.5, "database_queries": 2, "memory_usage_mb": 25.3,
                                 "cpu_time_ms": 120.0}},
    )
    log_sync_operation(
        {"sync_type": "to_airtable", "batch_size": 10, "total_leads": 8, "retry_attempts": 0},
        {"success": True, "leads_synced": 7, "leads_failed": 1, "conflicts_resolved": 0, "execution_time_ms": 2500.0},
    )
    log_migration_operation({"migration_type": "json"}, {"success": False, "records_migrated": 3, "records_failed": 9})
    log_error(ValueError("bad"), {"lead": 7})
    log_performance_metrics("nightly", {"execution_time_ms": 9000})
    log_monitoring_data("disk", {"status": "full"}, {"training_labels": {"mine": 1}})


def one(number):
    with session(f"{number:08x}"):
        for _ in range(20):
            log_database_event("database_operation", {"name": "n"}, {"success": True}, {"operation_type": "get"})


threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
shutdown_telemetry()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs") / "database_logs"


@pytest.fixture(scope="module")
def receiver(cluster: Cluster, migrated: str, folder: Path) -> Iterator[Serving]:
    with served(cluster, migrated) as receiver:
        done = subprocess.run(
            [sys.executable, "-c", APPLICATION],
            env=environment(
                OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}",
                OTELGRES_TELEMETRY_OPERATIONS_DIRECTORY=str(folder),
            ),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert (done.returncode, done.stderr) == (0, "")
        yield receiver


def documents(receiver: Serving, relation: str) -> list[dict[str, Any]]:
    found = receiver.rows(f"SELECT document FROM compat.{relation} WHERE session_id = 'a1b2c3d4'")
    return [row["document"] for row in found]


def test_a_database_operation_has_the_documented_shape(receiver: Serving) -> None:
    (document,) = documents(receiver, "database_operations")
    assert document.pop("timestamp").endswith("Z")
    assert document == {
        "log_type": "database_operation",
        "session_id": "a1b2c3d4",
        "operation_details": {
            "operation_type": "add_lead",
            "success": True,
            "records_affected": 1,
            "execution_time_ms": 150.5,
            "duplicate_detected": False,
        },
        "lead_identifier": {
            "lead_id": "uuid-123",
            "name": "John Doe",
            "company": "Test Corp",
            "email": "john@test.com",
        },
        "performance_metrics": {
            "execution_time_ms": 150.5,
            "database_queries": 2,
            "memory_usage_mb": 25.3,
            "cpu_time_ms": 120.0,
        },
        "training_labels": {
            "operation_successful": True,
            "performance_tier": "excellent",
            "data_quality": "high",
            "complexity_level": "medium",
        },
    }


def test_a_sync_operation_has_the_documented_shape(receiver: Serving) -> None:
    (document,) = documents(receiver, "sync_operations")
    assert document["sync_details"]["total_leads"] == 8
    assert document["sync_results"]["leads_synced"] == 7
    labels = document["training_labels"]
    assert (labels["sync_successful"], labels["sync_efficiency"]) == (True, "good")
    assert (labels["error_recovery"], labels["batch_optimization"]) == (False, "optimal")


def test_the_other_kinds_have_their_columns(receiver: Serving) -> None:
    (migration,) = receiver.rows("SELECT * FROM compat.migration_operations")
    assert (migration["migration_type"], migration["success"], migration["records_failed"]) == ("json", False, 9)
    (error,) = receiver.rows("SELECT * FROM compat.error_logs")
    assert (error["error_type"], error["error_message"], error["error_context"]) == ("ValueError", "bad", {"lead": 7})
    (cost,) = receiver.rows("SELECT * FROM compat.performance_metrics")
    assert (cost["operation_name"], cost["performance_tier"]) == ("nightly", "very_slow")
    (health,) = receiver.rows("SELECT * FROM compat.monitoring_data")
    assert (health["monitoring_type"], health["healthy"], health["training_labels"]["mine"]) == ("disk", False, 1)
    assert error["flow_id"] == receiver.rows("SELECT flow_id FROM otel.flows WHERE name = 'import'")[0]["flow_id"]


def test_threads_keep_their_sessions(receiver: Serving) -> None:
    found = receiver.rows(
        "SELECT session_id, count(*) AS n, count(DISTINCT id) AS ids FROM compat.database_operations "
        "WHERE operation_type = 'get' GROUP BY 1 ORDER BY 1"
    )
    assert found == [{"session_id": f"{number:08x}", "n": 20, "ids": 20} for number in range(8)]


def test_a_day_is_summed_up(receiver: Serving) -> None:
    (day,) = receiver.rows("SELECT * FROM compat.daily_summary")
    assert (day["total_operations"], day["successful_operations"], day["failed_operations"]) == (161, 161, 0)
    assert (day["sync_operations"], day["leads_synced"], day["errors"], day["sessions"]) == (1, 7, 1, 9)
    assert day["performance_tiers"]["excellent"] == 1


def test_the_files_have_the_same_documents(receiver: Serving, folder: Path) -> None:
    found = {path.name: [json.loads(line) for file in sorted(path.iterdir()) for line in file.read_text().splitlines()]
             for path in folder.iterdir()}  # fmt: skip
    assert {name: len(lines) for name, lines in found.items()} == {
        "database_operations": 161,
        "sync_operations": 1,
        "migration_operations": 1,
        "error_logs": 1,
        "performance_metrics": 1,
        "monitoring_data": 1,
    }
    assert found["sync_operations"] == documents(receiver, "sync_operations")


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_training_set_keeps_sessions_together(receiver: Serving, form: str, tmp_path: Path) -> None:
    arguments = ("export", "training", "--out", str(tmp_path), "--format", form, "--validation", "0.4", "--seed", "3")
    done = run_otelgres(*arguments, OTELGRES_DSN=receiver.dsn)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    parts: dict[str, list[dict[str, Any]]] = {}
    for part in ("train", "validation"):
        file = tmp_path / f"{part}.{form}"
        if form == "parquet":
            parts[part] = pq.read_table(file).to_pylist()
        else:
            parts[part] = [json.loads(line) for line in file.read_text().splitlines()]
        assert manifest["parts"][part]["documents"] == len(parts[part]) > 0
    sessions = [{row["session_id"] for row in parts[part]} for part in parts]
    assert not sessions[0] & sessions[1]
    assert sum(map(len, parts.values())) == 166
    first = parts["train"]
    run_otelgres(*arguments, OTELGRES_DSN=receiver.dsn)
    if form == "jsonl":
        assert [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()] == first


@pytest.fixture
def another_receiver(cluster: Cluster, migrated: str) -> Iterator[Serving]:
    with served(cluster, migrated) as receiver:
        yield receiver


def test_the_example_runs_and_statements_are_recorded_by_themselves(another_receiver: Serving) -> None:
    receiver = another_receiver
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "examples" / "operations.py")],
        env=environment(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}", OTELGRES_DSN=receiver.dsn),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "add_lead {'data_quality': 'medium'" in done.stdout
    assert "'synced': 7" in done.stdout
    statements = rows(
        receiver.dsn,
        "SELECT operation_type FROM compat.database_operations WHERE service_name = 'leads' AND id IS NOT NULL",
    )
    assert [row["operation_type"] for row in statements].count("insert") == 3


def test_a_time_filter_reads_no_other_days(receiver: Serving) -> None:
    with psycopg.connect(receiver.dsn) as connection:
        plan = "\n".join(
            row[0]
            for row in connection.execute(
                "EXPLAIN (COSTS OFF) SELECT * FROM compat.sync_operations "
                "WHERE timestamp >= '2020-01-01' AND timestamp < '2020-01-02'"
            ).fetchall()
        )
    assert "logs_2" not in plan, plan
