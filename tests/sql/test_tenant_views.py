"""The views of otel_tenant: the same as those of otel, over one tenant's rows, and as quickly found."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from otelgres.collector.embedded import Cluster
from otelgres.collector.embedded.logins import Login
from tests import postgres
from tests.sql import rows
from tests.sql.rows import Connection
from tests.sql.test_plans import DAYS, FILL_LOGS, FILL_SPANS, Scan, days, scans

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAY = TODAY - timedelta(days=10)
# Views that are not about what a tenant sent.
NOT_OF_TENANTS = {
    "alert_rules": "settings of the owner, which name services and flows of everybody",
    "receivers": "the operator's processes",
    "partitions": "storage of everybody",
    "migrations": "the schema",
    "retention": "storage of everybody",
    "flow_expectations": "the owner's table, which names flows of everybody",
}


@pytest.fixture(scope="module")
def filled(cluster: Cluster, migrated: str) -> Iterator[str]:
    """A superuser's DSN of a database with three weeks of two tenants; `plans_a` is a login of the smaller one."""
    with (
        postgres.new_database(cluster, migrated) as owner,
        psycopg.connect(dsn := postgres.as_login(owner, Login.SUPERUSER), autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        connection.execute("SET timezone = 'UTC'")
        connection.execute(
            "INSERT INTO _otel.tenant_ids (hash, name) "
            "SELECT encode(substring(sha256(n::bytea) FROM 1 FOR 16), 'hex')::uuid, n FROM unnest(ARRAY['a', 'b']) n"
        )
        connection.execute("CREATE ROLE plans_a LOGIN IN ROLE otelgres_tenant")
        connection.execute("INSERT INTO _otel.tenants VALUES ('plans_a', 'a')")
        for tenant_id, traces, tag in ((1, 12, "a"), (2, 120, "b")):
            values = {"scope": rows.scope(connection), "traces": traces, "flow": None}
            for name in ("shop", "depot"):
                values[name] = rows.resource(connection, name, tenant=tag)
                connection.execute("UPDATE _otel.resources SET tenant_id = %s WHERE id = %s", [tenant_id, values[name]])
            for ago in range(-1, DAYS):
                day = TODAY - timedelta(days=ago)
                rows.make_partitions(connection, [day], *rows.SPAN_TABLES, "logs")
                if ago < 0:
                    continue
                for table, statement in (("spans", FILL_SPANS), ("logs", FILL_LOGS)):
                    marked = statement.replace("dropped_attributes_count,", "dropped_attributes_count, tenant_id,", 1)
                    marked = marked.replace("%(scope)s, 0, kind, 0, 0,", f"%(scope)s, 0, kind, 0, 0, {tenant_id},")
                    marked = marked.replace("%(scope)s, 9, 0, 0,", f"%(scope)s, 9, 0, 0, {tenant_id},")
                    assert marked.count(f", {tenant_id},") >= 1, table
                    cursor.execute(marked.encode(), values | {"day": day})
        connection.execute("ANALYZE")
        yield dsn
        connection.execute("DROP ROLE plans_a")


@pytest.fixture
def tenant(filled: str) -> Iterator[Connection]:
    with psycopg.connect(filled) as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.execute("SET track_functions = 'all'")
        connection.execute("SET SESSION AUTHORIZATION plans_a")
        yield connection
        connection.rollback()


def test_every_view_has_one_for_tenants_or_a_reason(filled: str) -> None:
    columns = (
        "SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) FROM information_schema.columns "
        "WHERE table_schema = %s GROUP BY 1"
    )
    with psycopg.connect(filled) as connection:
        whole: dict[str, list[str]] = dict(connection.execute(columns, ["otel"]).fetchall())
        own: dict[str, list[str]] = dict(connection.execute(columns, ["otel_tenant"]).fetchall())
        barriers = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'otel_tenant'::regnamespace AND relkind = 'v' "
            "AND NOT 'security_barrier=true' = ANY (coalesce(reloptions, '{}'))"
        ).fetchall()
        private = connection.execute(
            r"SELECT v.view_name, v.table_name FROM information_schema.view_table_usage v "
            r"WHERE v.view_schema = 'otel_tenant' AND v.table_schema = '_otel' AND v.table_name !~ '^tenant_'"
        ).fetchall()
    assert barriers == []
    assert set(whole) - set(own) == set(NOT_OF_TENANTS)
    assert set(own) - set(whole) == {"alerts"}  # a function in otel
    assert {view: own[view] for view in own if view != "alerts"} == {
        view: whole[view] for view in own if view != "alerts"
    }
    # What is read beside the tenant's rows has no rows of a tenant, or is found by its own rows.
    assert {table for _, table in private} <= {
        "scopes", "metrics", "alert_rules", "open_starts", "open_starts_checked", "pending_rollup_hours", "tenant_ids",
        "number_points",
        "histogram_points", "exponential_histogram_points", "summary_points", "flow_parts",
    }  # fmt: skip


def test_every_view_can_be_read_and_functions_are_called_once_a_query(tenant: Connection) -> None:
    views = tenant.execute(
        "SELECT table_name FROM information_schema.views WHERE table_schema = 'otel_tenant' ORDER BY 1"
    ).fetchall()
    assert len(views) >= 20
    for (view,) in views:
        before = _calls(tenant)
        tenant.execute(f"SELECT * FROM otel_tenant.{view}".encode())
        assert _calls(tenant) - before <= 60, f"{view}: not for each row"


def _calls(connection: Connection) -> int:
    row = connection.execute(
        "SELECT coalesce(sum(calls), 0)::int FROM pg_stat_xact_user_functions WHERE funcname = 'current_tenant_id'"
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    ("view", "column", "table"),
    [
        ("spans", "start_time", "spans"),
        ("checkpoints", "time", "spans"),
        ("phase_timing", "start_time", "spans"),
        ("service_edges", "start_time", "spans"),
        ("span_stats", "minute", "span_stats"),
        ("logs", "time", "logs"),
    ],
)
def test_a_time_filter_reads_only_its_days(filled: str, view: str, column: str, table: str) -> None:
    since, until = DAY + timedelta(hours=1), DAY + timedelta(hours=18)
    found = _as_tenant(
        filled, f"SELECT * FROM otel_tenant.{view} WHERE {column} >= '{since}' AND {column} < '{until}'", table
    )
    extra = {DAY.date() - timedelta(days=1)} if view == "service_edges" else set()
    assert days(found) - extra == {DAY.date()}


def _as_tenant(dsn: str, query: str, table: str) -> list[Scan]:
    with psycopg.connect(dsn) as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.execute("SET SESSION AUTHORIZATION plans_a")
        # Only a superuser sees the plan below a barrier by rights; EXPLAIN itself asks for none.
        return scans(connection, query, of=table)


def test_flows_are_found_by_the_tenants_index(filled: str) -> None:
    since = DAY + timedelta(hours=1)
    query = (
        f"SELECT * FROM otel_tenant.flows WHERE start_time >= '{since}' AND start_time < '{since + timedelta(hours=1)}'"
    )
    found = _as_tenant(filled, query, "flow_parts")
    assert days(found) == {DAY.date() - timedelta(days=DAY.weekday())}
    assert sum(scan.rows for scan in found) <= 12
    # Without a filter all its own are read, because of the barrier; but none of others.
    found = _as_tenant(filled, "SELECT * FROM otel_tenant.flows ORDER BY start_time DESC LIMIT 5", "flow_parts")
    assert {scan.index for scan in found if scan.index} <= {
        scan.index for scan in found if "tenant_id" in scan.condition
    }
    assert sum(scan.rows for scan in found) <= 12 * DAYS


def test_a_flow_is_found_by_its_id(filled: str) -> None:
    flow = uuid.uuid4()
    for view, table in (("spans", "spans"), ("flows", "flow_parts"), ("logs", "logs")):
        found = _as_tenant(filled, f"SELECT * FROM otel_tenant.{view} WHERE flow_id = '{flow}'", table)
        assert all("trace_id = " in scan.condition for scan in found if scan.index)
        assert all(scan.rows == 0 for scan in found)
