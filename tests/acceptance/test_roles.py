"""Logins with the rights of a writer, a reader, a tenant: each does its work, and each tries to do more."""

import os
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.collector.embedded import Cluster, Login
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted
from otelgres.exporters.postgres.writer import PostgresWriter
from tests import postgres
from tests.acceptance.receiver_process import environment, invoke, rows, serve
from tests.waiting import TIMEOUT, until


class Logins:
    """A database of its own on a server of its own: roles belong to the whole server."""

    def __init__(self, cluster: Cluster) -> None:
        # As one that is shared with other programs: nothing is revoked from PUBLIC.
        self.owner = postgres.create_database(cluster, "shared")
        self.superuser = cluster.dsn(Login.SUPERUSER, "shared")
        done = invoke("migrate", OTELGRES_DSN=self.owner)
        assert done.returncode == 0, done.stderr

    def create(self, name: str, *arguments: str) -> str:
        """Makes a login; its DSN."""
        done = invoke("role", "create", name, *arguments, OTELGRES_DSN=self.owner)
        assert done.returncode == 0, done.stderr
        return self.of(name)

    def of(self, name: str) -> str:
        """The DSN of a login."""
        return self.superuser.replace("//postgres", f"//{name}", 1)


@pytest.fixture(scope="module")
def logins(postgres_version: str) -> Iterator[Logins]:
    with postgres.fast_cluster(postgres_version) as cluster:
        yield Logins(cluster)


def refused(dsn: str, *statements: str) -> None:
    """Each statement is beyond the role's rights."""
    for statement in statements:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable)):
                connection.execute(statement.encode())


def request(tenant: str | None, flow: uuid.UUID, name: str = "work", service: str = "s") -> bytes:
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add()
    spans.resource.attributes.add(key="service.name").value.string_value = service
    if tenant is not None:
        spans.resource.attributes.add(key="tenant.id").value.string_value = tenant
    now = int(datetime.now(UTC).timestamp() * 1e9)
    spans.scope_spans.add().spans.add(
        trace_id=flow.bytes, span_id=os.urandom(8), name=name, start_time_unix_nano=now, end_time_unix_nano=now + 1000
    )
    return message.SerializeToString()


def test_a_writer_is_all_that_a_receiver_needs(logins: Logins) -> None:
    dsn = logins.create("a_writer", "--kind", "writer")
    for _ in range(2):  # a restart finds the schema as it should be, and goes on
        with tempfile.TemporaryDirectory() as spool, serve(dsn, spool) as receiver:
            ready = receiver.ready()
            done = subprocess.run(
                [sys.executable, "-c", APPLICATION],
                env=environment(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{ready['grpc']}"),
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
            )
            assert (done.returncode, done.stderr) == (0, "hello\n")
            until(lambda: rows(logins.owner, PUBLISHED), "the receiver's own numbers")
            assert receiver.stop() == 0
            assert "ermission denied" not in receiver.errors
    found = rows(logins.owner, "SELECT count(*) AS n, count(DISTINCT type) AS types FROM otel.metric_points")
    assert found[0]["types"] == 2
    assert rows(logins.owner, "SELECT span_count FROM otel.flows WHERE name = 'order'") == [{"span_count": 2}] * 2
    assert rows(logins.owner, "SELECT count(*) AS n FROM otel.logs WHERE body = 'hello'") == [{"n": 2}]


PUBLISHED = "SELECT 1 FROM otel.receivers WHERE alive AND name = 'otelcol_exporter_sent_spans' AND value > 0"
APPLICATION = """
import logging
from opentelemetry import metrics
from otel_setup import configure_telemetry, flow, phase, shutdown_telemetry
configure_telemetry(service_name="a")
meter = metrics.get_meter("m")
meter.create_counter("c").add(1)
meter.create_histogram("h").record(2)
with flow("order"), phase("p"):
    logging.getLogger("a").warning("hello")
shutdown_telemetry()
"""


def test_a_writer_stores_repeats_and_clashes_as_an_owner_does(logins: Logins) -> None:
    writer = PostgresWriter(logins.create("b_writer", "--kind", "writer"))
    flow = uuid.uuid4()
    batch = Batch(Signal.TRACES, request(None, flow))
    again = ExportTraceServiceRequest.FromString(batch.payload)
    again.resource_spans[0].scope_spans[0].spans.add(
        trace_id=flow.bytes, span_id=b"another1", name="more", start_time_unix_nano=10**18, end_time_unix_nano=10**18
    )
    assert writer.write([batch, batch, Batch(Signal.TRACES, again.SerializeToString())]) == [Accepted()] * 3
    assert writer.write([batch]) == [Accepted()]
    writer.record_loss("dropped", "traces", "why", 1, "sample")
    writer.close()
    assert rows(logins.owner, "SELECT count(*) AS n FROM otel.spans WHERE flow_id = %s", flow) == [{"n": 2}]


TELEMETRY = (
    "spans", "logs", "number_points", "histogram_points", "exponential_histogram_points", "summary_points"
)  # fmt: skip
PRIVATE = (*TELEMETRY, "losses", "receivers", "flow_parts", "span_stats", "tenants", "retention", "open_starts")


def test_a_writer_may_do_nothing_else(logins: Logins) -> None:
    dsn = logins.create("c_writer", "--kind", "writer")
    refused(
        dsn,
        *(f"SELECT * FROM _otel.{table}" for table in PRIVATE),
        *(f"SELECT received_at FROM _otel.{table}" for table in TELEMETRY),
        *(f"COPY _otel.{table} TO STDOUT" for table in PRIVATE),
        *(f"SELECT attributes FROM _otel.{table}" for table in ("resources", "scopes", "series")),
        *(f"DELETE FROM _otel.{table}" for table in (*PRIVATE, "digests", "resources", "identity", "migrations")),
        *(f"TRUNCATE _otel.{table}" for table in (*PRIVATE, "digests")),
        *(
            f"DO $$ BEGIN LOCK TABLE _otel.{table} IN SHARE MODE; END $$"
            for table in (*PRIVATE, "lock_flow_parts", "migrations")
        ),
        *(f"INSERT INTO _otel.{table} DEFAULT VALUES RETURNING *" for table in TELEMETRY),
        "CREATE TEMP TABLE mine (LIKE _otel.spans)",
        "CREATE TEMP TABLE mine (s _otel.spans)",
        "CREATE TRIGGER mine AFTER INSERT ON _otel.spans EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "ALTER TABLE _otel.spans DISABLE TRIGGER USER",
        # The id of rows to come, or 0, which is that of no tenant.
        *(
            f"INSERT INTO _otel.{table} (id, hash) OVERRIDING SYSTEM VALUE VALUES (0, gen_random_uuid())"
            for table in ("resources", "scopes", "metrics", "series", "tenant_ids")
        ),
        "UPDATE _otel.spans SET name = 'x'",
        "INSERT INTO _otel.scopes (hash) VALUES (gen_random_uuid()) ON CONFLICT (hash) DO UPDATE SET hash = NULL",
        "DROP TABLE _otel.spans",
        "INSERT INTO _otel.flow_parts SELECT * FROM _otel.flow_parts",
        "UPDATE _otel.receivers SET last_seen = now()",
        "UPDATE _otel.resources SET service_name = 'x'",
        "SELECT _otel.drop_partitions('spans', now())",
        "INSERT INTO _otel.retention VALUES ('spans', '1 second')",
        "INSERT INTO _otel.tenants VALUES ('c_writer', 'x')",
        "UPDATE _otel.alert_rules SET threshold = 0",
        "CREATE TABLE _otel.mine (n int)",
        "SELECT compat.map_column('sync_operations', 'x', 'y')",
        "SELECT _otel.grant_rights()",
        "SELECT * FROM otel.flows",
        "SELECT * FROM otel_tenant.spans",
        "SET ROLE otelgres_owner",
        "SET ROLE otelgres_reader",
    )
    # What it may call drops no more than the owner has set.
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT _otel.make_partition('spans', now() - interval '40 days')")
        connection.execute("SELECT _otel.drop_expired('spans')")
    left = rows(logins.owner, "SELECT partitions FROM otel.partitions WHERE table_name = 'spans'")
    with psycopg.connect(logins.owner, autocommit=True) as connection:
        connection.execute("INSERT INTO _otel.retention VALUES ('spans', '30 days') ON CONFLICT DO NOTHING")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT _otel.drop_expired('spans')")
    now = rows(logins.owner, "SELECT partitions FROM otel.partitions WHERE table_name = 'spans'")
    assert now[0]["partitions"] < left[0]["partitions"]


def test_what_a_writer_calls_has_bounds(logins: Logins) -> None:
    """A stolen password of a writer adds rows, and spoils nothing that the owner's functions keep."""
    dsn = logins.create("bounded_writer", "--kind", "writer")
    state = (
        "SELECT (SELECT until FROM _otel.open_starts_checked) AS checked, "
        "(SELECT count(*) FROM _otel.hour_stats) AS hours, "
        "(SELECT count(*) FROM pg_inherits) AS partitions, (SELECT array_agg(hour) FROM _otel.rollup_hours_changed "
        "WHERE hour > now() - interval '1 hour') AS changed"
    )
    writer = PostgresWriter(dsn)
    assert writer.write([Batch(Signal.TRACES, request(None, uuid.uuid4()))]) == [Accepted()]
    writer.close()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT _otel.refresh_open_starts()")
        before = rows(logins.owner, state)
        assert before[0]["changed"]
        for at in (
            "1990-01-01",
            "infinity",
            "2300-01-01",
            "now() - interval '402 days'",
            "now() + interval '9 days'",
        ):
            for table in ("spans", "logs", "flow_parts", "digests"):
                given = at if "now" in at else f"'{at}'"
                with pytest.raises(psycopg.errors.DataError):
                    connection.execute(f"SELECT _otel.make_partition('{table}', {given})".encode())
        for table in ("pg_class", "spans_20260101", 'spans"', "retention"):
            with pytest.raises(psycopg.errors.NoDataFound):
                connection.execute("SELECT _otel.make_partition(%s, now())", [table])
            with pytest.raises(psycopg.errors.DataError):
                connection.execute("SELECT _otel.other_content(%s, '[]')", [table])
        connection.execute("SELECT _otel.refresh_open_starts('-100 years'), _otel.refresh_open_starts('0')")
        connection.execute("SELECT _otel.refresh_open_starts(NULL), _otel.add_started_flows(NULL)")
        connection.execute("SELECT _otel.add_started_flows('1000 years'), _otel.add_started_flows('-1000 years')")
        connection.execute("SELECT _otel.hours_to_roll_up('infinity'), _otel.hours_to_roll_up(NULL)")
        for hour in ("now()", "date_trunc('hour', now())", "'1990-01-01'", "'infinity'"):
            found = connection.execute(f"SELECT _otel.roll_up_hour({hour}, 1)".encode()).fetchone()
            assert found == (False,)
        with pytest.raises(psycopg.errors.DataError):
            connection.execute(
                "SELECT _otel.publish_receiver(gen_random_uuid(), 'h', 1, 'v', now(), to_jsonb(repeat('x', 2000000)))"
            )
        for row in (
            "tenant_ids (hash, name) VALUES (gen_random_uuid(), 'a second row of a name')",
            "losses (count, effect, source, signal, reason) VALUES (-1, 'dropped', 'rows', 'logs', 'x')",
        ):
            with pytest.raises(psycopg.errors.CheckViolation):
                connection.execute(f"INSERT INTO _otel.{row}".encode())
        # What the view of receivers, and so every alert, could not read.
        for numbers in (
            "null",
            "5",
            "{}",
            "[5]",
            "[{}]",
            '[["a", {}]]',
            '[["a", {}, "b"]]',
            '[["a", {}, 1e999]]',
            "[[1, {}, 1]]",
        ):
            with pytest.raises(psycopg.errors.DataError):
                connection.execute(
                    "SELECT _otel.publish_receiver(gen_random_uuid(), 'h', 1, 'v', now(), %s)", [numbers]
                )
        connection.execute(
            "SELECT _otel.publish_receiver(gen_random_uuid(), 'h', 1, 'v', t::timestamptz, '[[\"a\", {}, null]]') "
            "FROM unnest(ARRAY['infinity', '-infinity']) t"
        )
        assert rows(logins.owner, "SELECT started_at FROM otel.receivers WHERE name = 'a'")
        assert rows(logins.owner, "SELECT * FROM otel.alerts()")
        now = rows(logins.owner, state)
        assert {**now[0], "checked": None} == {**before[0], "checked": None}
        assert now[0]["checked"] < datetime.now(UTC) - timedelta(minutes=9)
        # Rows of receivers are kept for the newest thousand.
        connection.execute(
            "SELECT _otel.publish_receiver(gen_random_uuid(), repeat('h', 1000), n, 'v', now(), '[]') "
            "FROM generate_series(1, 1100) n"
        )
        published = rows(logins.owner, "SELECT count(*) AS n, max(length(host)) AS length FROM _otel.receivers")
        assert published == [{"n": 1000, "length": 255}]
        connection.execute("SELECT pg_notify('otelgres', '')")
    with psycopg.connect(logins.owner, autocommit=True) as connection:
        connection.execute("DELETE FROM _otel.receivers WHERE version = 'v'")


def test_a_writer_that_meets_an_old_schema_says_so(logins: Logins, postgres_version: str) -> None:
    with postgres.fast_cluster(postgres_version) as cluster:
        own = Logins(cluster)
        dsn = own.create("d_writer", "--kind", "writer")
        with psycopg.connect(own.owner, autocommit=True) as connection:
            connection.execute("DELETE FROM _otel.migrations WHERE name LIKE '0019%'")
        with tempfile.TemporaryDirectory() as spool, serve(dsn, spool) as receiver:
            until(lambda: "otelgres migrate" in receiver.errors, "the receiver to say what is missing")
            receiver.stop()


def test_a_reader_reads_every_view_and_nothing_else(logins: Logins) -> None:
    dsn = logins.create("a_reader", "--kind", "reader")
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("30s",)
        assert connection.execute("SHOW default_transaction_read_only").fetchone() == ("on",)
        views = connection.execute(
            "SELECT schemaname, viewname FROM pg_views WHERE schemaname IN ('otel', 'compat')"
        ).fetchall()
        assert len(views) > 20
        for schema, view in views:
            connection.execute(f'SELECT * FROM {schema}."{view}" LIMIT 1'.encode())
        for call in (
            "otel.alerts()",
            "otel.span_tree(gen_random_uuid())",
            "otel.metric_rate('x', now(), now(), '1 minute')",
            "otel.tail_logs(pg_current_snapshot(), now())",
        ):
            connection.execute(f"SELECT * FROM {call}".encode())
    refused(
        dsn,
        "SELECT * FROM _otel.spans",
        "SELECT * FROM _otel.tenants",
        "SELECT _otel.make_partition('spans', now())",
        "SELECT _otel.drop_expired('spans')",
        "CREATE TABLE otel.mine (n int)",
        "SET ROLE otelgres_owner",
        "SELECT compat.map_column('sync_operations', 'x', 'y')",
    )


def test_a_tenant_sees_its_own_and_cannot_cross(logins: Logins) -> None:
    ours, theirs, both = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    writer = PostgresWriter(logins.owner)
    for tenant, flow, name in (
        ("a", ours, "mine"),
        ("b", theirs, "secret"),
        ("a", both, "mine too"),
        ("b", both, "secret too"),
    ):
        assert writer.write([Batch(Signal.TRACES, request(tenant, flow, name))]) == [Accepted()]
    assert writer.write([Batch(Signal.TRACES, request(None, uuid.uuid4(), "nobody's"))]) == [Accepted()]
    writer.close()
    dsn = logins.create("tenant_a", "--kind", "tenant", "--tenant", "a")
    unbound = logins.create("tenant_x", "--kind", "tenant", "--tenant", "x")

    found = rows(dsn, "SELECT name, flow_id FROM spans ORDER BY name")
    assert [row["name"] for row in found] == ["mine", "mine too"]
    assert rows(dsn, "SELECT span_count, error_count FROM flows WHERE flow_id = %s", both) == [
        {"span_count": 1, "error_count": 0}
    ]
    for view in ("spans", "logs", "span_starts", "in_flight", "metric_points", "checkpoints", "flows"):
        assert rows(unbound, f"SELECT * FROM otel_tenant.{view}") == []

    refused(
        dsn,
        "SELECT * FROM otel.spans",
        "SELECT * FROM _otel.spans",
        "SELECT * FROM _otel.resources",
        "SELECT * FROM compat.daily_summary",
        "SELECT otel.alerts()",
        "SELECT * FROM otel.tail_spans(pg_current_snapshot(), now())",
        "UPDATE _otel.tenants SET tenant = 'b'",
        "SET ROLE otelgres_reader",
        "SET ROLE otelgres_owner",
        "SET SESSION AUTHORIZATION postgres",
        "CREATE VIEW otel_tenant.mine AS SELECT 1",
        "COPY (SELECT * FROM otel.spans) TO STDOUT",
    )
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        # A function that is cheap enough to be run before the filter would be shown every row.
        connection.execute("CREATE TEMP TABLE seen (name text)")
        connection.execute(
            "CREATE FUNCTION pg_temp.leak(name text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS "
            "$$ BEGIN INSERT INTO pg_temp.seen VALUES (name); RETURN true; END $$"
        )
        connection.execute("SELECT count(*) FROM otel_tenant.spans WHERE pg_temp.leak(name)")
        seen = {row[0] for row in connection.execute("SELECT name FROM pg_temp.seen").fetchall()}
        assert seen <= {"mine", "mine too"}
        # Errors tell of rows that were looked at.
        connection.execute("SELECT 1 / (CASE WHEN name LIKE 'secret%' THEN 0 ELSE 1 END) FROM otel_tenant.spans")
        connection.execute("SET search_path = pg_temp, otel_tenant")
        connection.execute("CREATE TEMP TABLE tenants AS SELECT 'tenant_a' AS role_name, 'b' AS tenant")
        connection.execute("CREATE FUNCTION pg_temp.current_tenant() RETURNS text LANGUAGE sql AS $$ SELECT 'b' $$")
        names = {row[0] for row in connection.execute("SELECT name FROM otel_tenant.spans").fetchall()}
        assert names == {"mine", "mine too"}
        assert connection.execute("SELECT * FROM pg_stats WHERE schemaname = '_otel'").fetchall() == []


def test_a_tenants_filters_still_find_their_days(logins: Logins) -> None:
    dsn = logins.create("tenant_p", "--kind", "tenant", "--tenant", "p")
    now = datetime.now(UTC)
    with psycopg.connect(logins.owner, autocommit=True) as connection:
        for days in range(4):
            connection.execute("SELECT _otel.make_partition('spans', %s)", [now - timedelta(days=days)])
    with psycopg.connect(logins.superuser) as connection:
        connection.execute("SET SESSION AUTHORIZATION tenant_p")
        connection.execute("RESET SESSION AUTHORIZATION")
    with psycopg.connect(dsn) as connection:
        plan = "\n".join(
            row[0]
            for row in connection.execute(
                "EXPLAIN SELECT * FROM otel_tenant.spans WHERE start_time >= %s AND flow_id = %s",
                [now - timedelta(hours=1), uuid.uuid4()],
            ).fetchall()
        )
    assert f"spans_{now - timedelta(days=3):%Y%m%d}" not in plan, plan
    assert "spans_pkey" in plan or "_pkey" in plan, plan


def test_wrong_roles_are_errors(logins: Logins, tmp_path: object) -> None:
    def errors_of(*arguments: str) -> str:
        done = invoke("role", "create", *arguments, OTELGRES_DSN=logins.owner)
        assert done.returncode in (1, 2)
        assert "Traceback" not in done.stderr
        return done.stderr

    assert "needs --tenant" in errors_of("x", "--kind", "tenant")
    assert "is reserved" in errors_of("otelgres_reader", "--kind", "reader")
    assert "is reserved" in errors_of("pg_monitor", "--kind", "reader")
    reader = logins.create("e_reader", "--kind", "reader")
    done = invoke("role", "create", "y", "--kind", "reader", OTELGRES_DSN=reader)
    assert "Use the DSN of a superuser, or of an owner made with --create-roles" in done.stderr


def test_a_login_that_a_superuser_made_says_how_an_owner_gets_it(logins: Logins) -> None:
    with psycopg.connect(logins.superuser, autocommit=True) as connection:
        connection.execute("CREATE ROLE older LOGIN")
        arguments = ("role", "create", "older", "--kind", "tenant", "--tenant", "t")
        done = invoke(*arguments, OTELGRES_DSN=logins.owner)
        assert done.returncode == 1
        (grant,) = re.findall("`(GRANT .*)`", done.stderr)
        connection.execute(grant.encode())
    assert invoke(*arguments, OTELGRES_DSN=logins.owner).returncode == 0


def test_without_a_schema_every_login_is_told_what_to_do(logins: Logins) -> None:
    with psycopg.connect(logins.superuser, autocommit=True) as connection:
        connection.execute("CREATE DATABASE without")
    kinds = {kind: logins.create(f"n_{kind}", "--kind", kind) for kind in ("writer", "reader", "owner")}
    dsns = {kind: dsn.replace("/shared", "/without", 1) for kind, dsn in kinds.items()}
    for kind in ("writer", "owner"):
        done = invoke("migrate", OTELGRES_DSN=dsns[kind])
        assert done.returncode == 1
        assert f"Database without has no schema of otelgres, and n_{kind} may not create it" in done.stderr
        assert "otelgres role create NAME --kind owner --create-roles" in done.stderr
    for command in ("status", "monitor", "alerts", "flow latest", "report errors", "tail logs -n 1"):
        done = invoke(*command.split(), OTELGRES_DSN=dsns["reader"])
        assert done.returncode == 1
        assert "run `otelgres migrate` with an owner's DSN" in done.stderr, command
        assert (
            "made by `otelgres role create NAME --kind reader`"
            in invoke(*command.split(), OTELGRES_DSN=kinds["writer"]).stderr
        ), command


def test_a_role_is_made_again_with_other_rights(logins: Logins) -> None:
    logins.create("turncoat", "--kind", "writer")
    dsn = logins.create("turncoat", "--kind", "reader")
    refused(dsn, "INSERT INTO _otel.scopes (hash, name, version, attributes, dropped_attributes_count, schema_url) "
                 "VALUES (gen_random_uuid(), '', '', '{}', 0, '')")  # fmt: skip


def test_passwords_are_hashed_before_they_are_sent(logins: Logins) -> None:
    done = invoke("role", "create", "with_word", "--kind", "reader", OTELGRES_DSN=logins.owner)
    word = done.stdout.split()[0]
    assert len(word) > 20
    stored = rows(logins.superuser, "SELECT rolpassword FROM pg_authid WHERE rolname = 'with_word'")[0]["rolpassword"]
    assert stored.startswith("SCRAM-SHA-256$")
    assert word not in stored


def test_functions_of_ours_have_no_superuser_behind_them(logins: Logins) -> None:
    found = rows(
        logins.owner,
        "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner "
        "WHERE p.pronamespace IN ('otel'::regnamespace, '_otel'::regnamespace, 'compat'::regnamespace) "
        "AND p.prosecdef AND r.rolsuper",
    )
    assert found == []
