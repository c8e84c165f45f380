"""``otelgres migrate`` and its flags, on real databases: what is there, test data, sample queries, all made anew."""

import subprocess
import uuid
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from otelgres.collector.embedded import Cluster
from tests import postgres
from tests.acceptance.receiver_process import OTELGRES, environment, rows, run_otelgres, serve
from tests.waiting import TIMEOUT

EXPERIMENT = str(uuid.uuid5(uuid.NAMESPACE_URL, "test data"))
DELETES = "--i-know-this-deletes-data"


def migrate(dsn: str, *arguments: str, answer: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*OTELGRES, "migrate", *arguments],
        input=answer,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=environment(OTELGRES_DSN=dsn),
    )


def log(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT _otel.make_partition('logs', now())")
        connection.execute(
            "INSERT INTO _otel.logs (time, time_unix_nano, observed_time_unix_nano, resource_id, scope_id, "
            "severity_number, flags, dropped_attributes_count, body) VALUES (now(), 1, 0, 1, 1, 9, 0, 0, 'kept')"
        )


def test_a_check_says_what_is_pending_and_changes_nothing(empty_database: str) -> None:
    for _ in range(2):
        done = migrate(empty_database, "--check-only")
        assert done.returncode == 1, done.stderr
        assert "the database contains no otelgres schemas" in done.stdout
        assert "pending: 0001_dimensions.sql" in done.stdout
    assert migrate(empty_database).returncode == 0
    done = migrate(empty_database, "--check-only")
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stdout.splitlines()
    assert "schema compat: " in done.stdout
    assert "pipeline_metrics" in done.stdout

    with psycopg.connect(empty_database) as connection:
        connection.execute("DELETE FROM _otel.migrations WHERE name = '0024_experiments.sql'")
    done = migrate(empty_database, "--check-only")
    assert (done.returncode, done.stdout.count("pending:")) == (1, 1)
    with psycopg.connect(empty_database) as connection:
        connection.execute("UPDATE _otel.migrations SET checksum = 'other' WHERE name = '0002_signals.sql'")
        connection.execute("INSERT INTO _otel.migrations (name, checksum) VALUES ('9999_newer.sql', 'x')")
    with psycopg.connect(empty_database) as connection:
        connection.execute("INSERT INTO _otel.migrations (name, checksum) VALUES ('0024_experiments.sql', 'x')")
    done = migrate(empty_database, "--check-only")
    assert done.returncode == 1
    assert "newer otelgres" in done.stderr


def test_test_data_is_real_and_the_sample_queries_find_it(empty_database: str) -> None:
    done = migrate(empty_database, "--test-data", EXPERIMENT)
    assert done.returncode == 0, done.stderr
    assert f"experiment {EXPERIMENT}: " in done.stdout
    assert "pipeline_progress" in done.stdout
    tree = rows(empty_database, "SELECT tree, status FROM compat.get_progress_tree(%s)", EXPERIMENT)
    assert [(row["tree"], row["status"]) for row in tree] == [
        ("sample", "completed"), ("  load", "completed"), ("  fit", "completed"), ("    fold 1", "completed"),
        ("    fold 2", "completed"), ("  export", "failed"),
    ]  # fmt: skip
    # By the ordinary way in: each request has left its digest, and the spans their roll-ups.
    assert rows(empty_database, "SELECT 1 FROM _otel.digests")
    assert rows(empty_database, "SELECT 1 FROM otel.flows WHERE name = 'sample'")

    shown = run_otelgres("migrate", "--show-queries")
    assert shown.returncode == 0, shown.stderr
    statements = [one for one in shown.stdout.split(";") if one.strip()]
    assert len(statements) == 8
    with psycopg.connect(empty_database) as connection:
        for statement in statements:
            found = connection.execute(statement.encode()).fetchall()
            assert found or "active_pipeline_monitoring" in statement, statement


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--test-data", "7"], "is not a uuid"),
        (["--check-only", "--force"], "--check-only changes nothing"),
        (["--yes"], "need --force"),
        ([DELETES], "need --force"),
    ],
)
def test_invalid_arguments_are_errors(database: str, arguments: list[str], text: str) -> None:
    done = migrate(database, *arguments)
    assert (done.returncode, text in done.stderr) == (2, True), done.stderr


def test_force_names_asks_and_refuses(database: str) -> None:
    log(database)
    for arguments in (["--force"], ["--force", "--yes"]):
        done = migrate(database, *arguments)
        assert done.returncode == 2
        assert "_otel.logs: 1 row\n" in done.stdout
        assert "add --i-know-this-deletes-data" in done.stderr
    done = migrate(database, "--force", DELETES, answer="yes\n")
    assert (done.returncode, "the name does not match" in done.stderr) == (1, True)
    done = migrate(database, "--force", DELETES)
    assert done.returncode == 1  # nobody is there to answer
    assert [row["body"] for row in rows(database, "SELECT body FROM otel.logs")] == ["kept"]

    name = conninfo_to_dict(database)["dbname"]
    done = migrate(database, "--force", DELETES, answer=f"{name}\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "dropped schemas _otel, compat, otel, otel_tenant" in done.stdout
    assert "pipeline_logs" in done.stdout
    assert rows(database, "SELECT body FROM otel.logs") == []
    assert migrate(database, "--check-only").returncode == 0


def test_force_on_an_empty_one_needs_no_second_flag(database: str) -> None:
    done = migrate(database, "--force", "--yes")
    assert done.returncode == 0, done.stderr
    assert migrate(database, "--check-only").returncode == 0


def test_force_drops_no_foreign_schema(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE VIEW public.mine AS SELECT flow_id FROM otel.flows")
        connection.execute("CREATE TABLE public.theirs (n int)")
    done = migrate(database, "--force", "--yes")
    assert (done.returncode, "public.mine" in done.stderr) == (1, True)
    with psycopg.connect(database) as connection:
        connection.execute("SELECT * FROM public.mine")
        connection.execute("DROP VIEW public.mine")
    assert migrate(database, "--force", "--yes").returncode == 0
    assert rows(database, "SELECT * FROM public.theirs") == []


def test_force_refuses_while_a_receiver_is_running(cluster: Cluster, migrated: str, tmp_path: Path) -> None:
    with postgres.new_database(cluster, migrated) as dsn, serve(dsn, str(tmp_path)) as receiver:
        receiver.ready()
        done = migrate(dsn, "--force", "--yes", DELETES)
        assert (done.returncode, "receivers are using the database" in done.stderr) == (1, True), done.stderr
        assert rows(dsn, "SELECT 1 FROM otel.receivers")
