"""``otelgres diagnose``: every link broken once for real, and found."""

import json
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from otelgres.collector.embedded import Cluster, Login
from otelgres.collector.inspect.diagnose.database import data_folder
from otelgres.exporters.postgres.partitions import drop_expired
from tests import postgres
from tests.acceptance.receiver_process import OtelgresProcess, Serving, invoke, served
from tests.sql import rows
from tests.waiting import until

RUNBOOKS = "https://github.com/otelgres/otelgres/blob/main/docs/runbooks"


def look(*arguments: str, **environ: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    done = invoke("diagnose", "--json", "--timeout", "3", *arguments, **environ)
    assert "Traceback" not in done.stderr, done.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for line in done.stdout.splitlines():
        finding = json.loads(line)
        assert finding["fix"] or finding["severity"] == "fine"
        found.setdefault(finding["check"], []).append(finding)
    return done.returncode, found


def of(
    receiver: Serving, *arguments: str, dsn: str | None = None, **environ: str
) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    return look(
        "--http", receiver.http, "--grpc", receiver.grpc, *arguments, OTELGRES_DSN=dsn or receiver.dsn, **environ
    )


@pytest.fixture(scope="module")
def receiver(cluster: Cluster, migrated: str) -> Iterator[Serving]:
    with served(cluster, migrated) as receiver:
        until(lambda: receiver.rows("SELECT 1 FROM otel.receivers WHERE alive"), "the receiver to publish its metrics")
        yield receiver


def severities(found: dict[str, list[dict[str, Any]]], check: str) -> list[str]:
    return [finding["severity"] for finding in found[check]]


def test_all_is_well(receiver: Serving) -> None:
    status, found = of(receiver)
    assert [finding for check in found for finding in found[check] if finding["severity"] != "fine"] == []
    assert status == 0
    assert severities(found, "test flow") == ["fine"] * 3
    assert set(found) >= {"database", "schema", "rights", "disk", "ports", "receivers", "alerts"}


def test_no_listener_is_reported(receiver: Serving) -> None:
    status, found = look("--http", "http://127.0.0.1:1", "--grpc", "127.0.0.1:1", OTELGRES_DSN=receiver.dsn)
    assert status == 2
    assert severities(found, "ports") == ["broken"] * 2
    assert severities(found, "test flow") == ["broken"] * 3


def test_a_receiver_of_another_database(receiver: Serving, database: str) -> None:
    status, found = of(receiver, dsn=database)
    assert status == 2
    assert severities(found, "test flow") == ["broken"] * 3
    assert "stores elsewhere" in found["test flow"][0]["fix"]
    assert severities(found, "receivers") == ["broken"]


def test_a_database_without_schema_and_one_that_is_old(receiver: Serving, empty_database: str, database: str) -> None:
    status, found = of(receiver, dsn=empty_database)
    assert status == 2
    assert severities(found, "schema") == ["broken"]
    with psycopg.connect(database) as connection:
        connection.execute("DELETE FROM _otel.migrations WHERE name = (SELECT max(name) FROM _otel.migrations)")
    _, found = of(receiver, dsn=database)
    assert severities(found, "schema") == ["warning"]


def test_no_database(receiver: Serving) -> None:
    status, found = of(receiver, dsn="postgresql://x:geheim@127.0.0.1:1/y")
    assert status == 2
    assert severities(found, "database") == ["broken"]
    assert "geheim" not in json.dumps(found)
    # What can be seen without it is still looked at.
    assert severities(found, "ports") == ["fine"] * 2
    assert severities(found, "test flow") == ["warning"] * 3


def test_a_role_without_rights(receiver: Serving) -> None:
    superuser = postgres.as_login(receiver.dsn, Login.SUPERUSER)
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS nobody_much")
        connection.execute("CREATE ROLE nobody_much LOGIN")
        try:
            status, found = of(receiver, dsn=postgres.as_login(superuser, "nobody_much"))
        finally:
            connection.execute("DROP ROLE nobody_much")
    assert status == 2
    assert severities(found, "rights") == ["broken"]


def test_tokens_and_tls(cluster: Cluster, migrated: str, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.yaml"
    made = invoke("token", "new", "--name", "x", "--scope", "ingest", OTELGRES_TOKENS_FILE=str(tokens))
    token = next(word for word in made.stdout.split() if word.startswith("otg_"))
    with (
        postgres.new_database(cluster, migrated) as dsn,
        OtelgresProcess(
            *("serve", "--json", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"),
            OTELGRES_DSN=dsn, OTELGRES_SPOOL=str(tmp_path / "spool"), OTELGRES_TOKENS_FILE=str(tokens),
        ) as process,
    ):  # fmt: skip
        receiver = Serving(process, process.ready() | {"dsn": dsn})
        _, found = of(receiver)
        assert severities(found, "test flow") == ["broken"] * 3
        assert "token" in found["test flow"][0]["fix"]
        _, found = of(receiver, OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{token}")
        assert severities(found, "test flow") == ["fine"] * 3
        _, found = look("--http", receiver.http.replace("http:", "https:"), "--grpc", receiver.grpc, OTELGRES_DSN=dsn)
        assert any("does not use TLS" in finding["what"] for finding in found["ports"])
        assert process.stop() == 0


def test_a_clock_that_is_ahead_and_an_alert(receiver: Serving) -> None:
    with psycopg.connect(receiver.dsn, autocommit=True) as connection:
        start = rows.unix_nano(datetime.now(UTC) + timedelta(seconds=30))
        flow = uuid.uuid4()
        rows.insert(connection, [rows.Span(trace=flow, start=start, end=start + 1000, service="skewed")])
        connection.execute(
            "INSERT INTO _otel.losses (count, effect, source, signal, reason) VALUES (1, 'dropped', 'x', 'logs', 'y')"
        )
        try:
            status, found = of(receiver)
        finally:
            connection.execute("DELETE FROM _otel.spans WHERE trace_id = %s", [flow])
            connection.execute("DELETE FROM _otel.losses")
    assert status == 2
    assert found["clocks"][0]["what"].startswith("the clock of skewed is ")
    assert f"{RUNBOOKS}/losses.md" in [finding["fix"] for finding in found["alerts"]]


def test_what_the_alert_rules_find(receiver: Serving, database: str) -> None:
    """Partitions that run out, a spool that does not drain, a heartbeat and a checkpoint that are missing."""
    then = datetime.now(UTC) - timedelta(minutes=10)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SELECT _otel.make_partition('spans', now()), _otel.make_partition('logs', now())")
        connection.execute(
            "INSERT INTO _otel.receivers (id, host, pid, version, started_at, last_seen, numbers) "
            """VALUES (gen_random_uuid(), 'here', 1, '1', now(), now(), '[["otelgres_spool_age_seconds", {}, 900]]')"""
        )
        rows.put(
            connection, "logs", time=then, time_unix_nano=1, observed_time_unix_nano=1, flags=0, severity_number=9,
            resource_id=rows.resource(connection, "feed"), scope_id=rows.scope(connection), dropped_attributes_count=0,
            event_name="otelgres.heartbeat", attributes=Jsonb({"source_system": "feed"}),
        )  # fmt: skip
        connection.execute("INSERT INTO otel.flow_expectations VALUES ('PUBLISHED', '{PUBLISHED,DELIVERED}')")
        at = rows.unix_nano(then)
        rows.insert(
            connection,
            [
                rows.Span(
                    trace=uuid.uuid4(), start=at, end=at, name="PUBLISHED", role=rows.CHECKPOINT, parent=b"absent-1"
                )
            ],
        )
    status, found = of(receiver, dsn=database)
    assert status == 2
    alerts = {(finding["what"].split(":")[0], finding["fix"]) for finding in found["alerts"]}
    assert alerts >= {
        ("partitions_ahead spans", f"{RUNBOOKS}/partitions-ahead.md"),
        ("spool_age here", f"{RUNBOOKS}/spool-age.md"),
        ("missing_heartbeat feed", f"{RUNBOOKS}/missing-heartbeat.md"),
        ("incomplete_flows PUBLISHED", f"{RUNBOOKS}/incomplete-flows.md"),
    }
    assert any("have not passed DELIVERED" in finding["what"] for finding in found["alerts"])


def test_a_service_that_stopped_sending(receiver: Serving, database: str) -> None:
    now = datetime.now(UTC)
    with psycopg.connect(database, autocommit=True) as connection:
        spans = []
        for hours in range(2, 20):
            start = rows.unix_nano(now - timedelta(hours=hours))
            spans.append(rows.Span(trace=uuid.uuid4(), start=start, end=start + 1000, service="gone"))
        rows.insert(connection, spans)
    _, found = of(receiver, dsn=database)
    assert found["services"][0]["what"].startswith("gone has sent nothing since")


@contextmanager
def listening(answer: bytes) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(64)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def test_the_disk_is_that_of_the_data(cluster: Cluster, receiver: Serving) -> None:
    with psycopg.connect(receiver.dsn, row_factory=dict_row) as connection:
        folder = data_folder(connection)
    assert folder == cluster.pgdata.resolve(), "and not that of whoever asks"


def test_redis_where_it_is_configured(receiver: Serving) -> None:
    _, found = of(receiver)
    assert "redis" not in found
    _, found = of(receiver, REDIS_URL="redis://127.0.0.1:1/0")
    assert severities(found, "redis") == ["broken"]
    with listening(b"HTTP/1.1 400 Bad Request\r\n") as port:
        _, found = of(receiver, "--redis", f"redis://127.0.0.1:{port}")
    assert severities(found, "redis") == ["broken"]
    with listening(b"+PONG\r\n") as port:
        _, found = of(receiver, "--redis", f"redis://127.0.0.1:{port}")
    assert severities(found, "redis") == ["fine"]


def test_what_is_open_to_every_login_is_told_with_what_closes_it(receiver: Serving, database: str) -> None:
    reserved = "GRANT pg_use_reserved_connections TO otelgres_writer"
    with psycopg.connect(postgres.as_login(database, Login.SUPERUSER), autocommit=True) as connection:
        connection.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        connection.execute("REVOKE pg_use_reserved_connections FROM otelgres_writer")
        try:
            _, found = of(receiver, dsn=database)
            assert set(severities(found, "public")) == {"fine"}
            assert len(found["public"]) == 5
            statements = [finding["fix"].partition(": ")[2] for finding in found["public"]]
            assert reserved in statements
            for statement in statements:
                connection.execute(statement.encode())
        finally:
            connection.execute(reserved.encode())
        # Writers make temporary tables, for rows that may be stored already.
        row = connection.execute(
            "SELECT has_database_privilege('otelgres_writer', current_database(), 'TEMPORARY'), "
            "has_database_privilege('otelgres_reader', current_database(), 'TEMPORARY')"
        ).fetchone()
        assert row == (True, False)
    _, found = of(receiver, dsn=database)
    assert "public" not in found


def test_whoever_keeps_expired_partitions_is_named(receiver: Serving, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO _otel.retention VALUES ('logs', '30 days')")
        connection.execute("SELECT _otel.make_partition('logs', now() - interval '40 days')")
        with psycopg.connect(database) as reader:
            reader.execute("SELECT count(*) FROM otel.logs")
            _, found = of(receiver, dsn=database)
            (finding,) = found["retention"]
            assert finding["severity"] == "warning"
            assert (
                f"logs are not dropped; sessions that use the tables: pid {reader.info.backend_pid}" in finding["what"]
            )
            assert drop_expired(connection) == ["logs"]
        assert drop_expired(connection) == []
    _, found = of(receiver, dsn=database)
    assert severities(found, "retention") == ["fine"]
