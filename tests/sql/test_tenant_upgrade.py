"""A database with tenants, made before tenants had numbers, is upgraded with its rows."""

import hashlib
import uuid
from pathlib import Path

import psycopg
from psycopg.types.json import Jsonb

from otelgres import sql
from otelgres.collector.embedded.logins import Login
from otelgres.sql.migrate import migrate
from tests.postgres import as_login
from tests.sql import rows

BEFORE = "0028_tenant_ids.sql"
FOLDER = Path(sql.__file__).parent
FLOW = uuid.UUID(int=5)


def _older(dsn: str) -> None:
    """The schema as it was before the migration, with the functions that it needs."""
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE SCHEMA _otel")
        connection.execute(
            "CREATE TABLE _otel.migrations "
            "(name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        scripts = [path for path in sorted((FOLDER / "migrations").glob("*.sql")) if path.name < BEFORE]
        for path in (*scripts, FOLDER / "functions/make_partition.sql", FOLDER / "functions/latency_bucket.sql"):
            connection.execute(path.read_bytes())
        for path in scripts:
            checksum = hashlib.sha256(path.read_bytes()).hexdigest()
            connection.execute("INSERT INTO _otel.migrations VALUES (%s, %s)", [path.name, checksum])
        start = rows.unix_nano(rows.NOON)
        rows.make_partitions(connection, [rows.NOON], *rows.SPAN_TABLES, "logs")
        scope = rows.scope(connection)
        owners = [rows.resource(connection, "shop", **more) for more in ({}, {"tenant.id": "a"}, {"tenant.id": 7})]
        for number, owner in enumerate(owners):
            connection.execute(
                "INSERT INTO _otel.spans (start_time, start_time_unix_nano, end_time_unix_nano, trace_id, resource_id, "
                "scope_id, flags, kind, dropped_attributes_count, dropped_events_count, dropped_links_count, span_id, "
                "name) VALUES (%s, %s, %s, %s, %s, %s, 0, 1, 0, 0, 0, %s, %s)",
                [rows.NOON, start, start + rows.MS, FLOW, owner, scope, rows.span_id(number + 1), f"by {number}"],
            )
            connection.execute(
                "INSERT INTO _otel.logs (time, time_unix_nano, observed_time_unix_nano, resource_id, scope_id, "
                "severity_number, flags, dropped_attributes_count, uid, attributes) VALUES (%s, 0, 0, %s, %s, 9, 0, 0, "
                "%s, %s)",
                [rows.NOON, owner, scope, uuid.UUID(int=number + 1), Jsonb({"log.record.uid": f"{number + 1:032x}"})],
            )
        week = "date_bin('7 days', %s, timestamptz '2024-01-01 00:00:00+00')"
        connection.execute(
            "INSERT INTO _otel.flow_parts (week, trace_id, start_time, start_time_unix_nano, end_time_unix_nano, "
            f"span_count, error_count, services) VALUES ({week}, %s, %s, %s, %s, 3, 0, '{{shop}}')",
            [rows.NOON, FLOW, rows.NOON, start, start + rows.MS],
        )
        connection.execute(
            "INSERT INTO _otel.span_stats (minute, key, slot, kind, count, error_count, duration_sum_ns, "
            "duration_min_ns, duration_max_ns, service_name, name, latency_buckets, latency_counts) "
            "VALUES (%s, gen_random_uuid(), 3, 1, 3, 0, 3, 1, 1, 'shop', 'all', '{1}', '{3}')",
            [rows.NOON],
        )


def test_rows_of_tenants_get_their_tenant(empty_database: str) -> None:
    _older(empty_database)
    assert BEFORE in migrate(empty_database)
    with psycopg.connect(as_login(empty_database, Login.SUPERUSER), autocommit=True) as connection:
        connection.execute("CREATE ROLE upgraded_tenant LOGIN IN ROLE otelgres_tenant")
        connection.execute("INSERT INTO _otel.tenants VALUES ('upgraded_tenant', 'a')")
        assert connection.execute("SELECT name FROM _otel.tenant_ids").fetchall() == [("a",)]
        counted = "SELECT sum(count)::int, count(DISTINCT name) FROM {}.span_stats"
        assert connection.execute(counted.format("otel").encode()).fetchone() == (3, 3)
        assert connection.execute("SELECT span_count FROM otel.flows").fetchall() == [(3,)]
        uid = connection.execute("SELECT uid FROM otel.logs WHERE resource_attributes ->> 'tenant.id' = 'a'").fetchone()
        expected = hashlib.sha256((1).to_bytes(4) + uuid.UUID(int=2).bytes).digest()[:16]
        assert uid == (uuid.UUID(bytes=expected),), "as the codec makes it, so that a repeated record is recognised"
        try:
            connection.execute("SET SESSION AUTHORIZATION upgraded_tenant")
            assert connection.execute("SELECT name FROM otel_tenant.spans").fetchall() == [("by 1",)]
            assert connection.execute("SELECT name, span_count FROM otel_tenant.flows").fetchall() == [("by 1", 1)]
            assert connection.execute(counted.format("otel_tenant").encode()).fetchone() == (1, 1)
            assert connection.execute("SELECT count(*) FROM otel_tenant.logs").fetchone() == (1,)
        finally:
            connection.execute("RESET SESSION AUTHORIZATION")
            connection.execute("DROP ROLE upgraded_tenant")
