"""What the relations of runs read for the filters that people use, and what they say of months of them."""

import dataclasses
import re
import uuid
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from otelgres.collector.embedded import Cluster
from tests import postgres
from tests.sql import rows
from tests.sql.rows import Connection
from tests.sql.test_plans import DAY, TODAY, days, scans

DAYS = 21
RUN = uuid.uuid5(uuid.NAMESPACE_URL, "run")

# A day of runs: a root and two phases each; the first has its own id on DAY. Every tenth failed.
FILL_SPANS = """
INSERT INTO _otel.spans (
    start_time, start_time_unix_nano, end_time_unix_nano, trace_id, resource_id, scope_id, flags, kind, status_code,
    dropped_attributes_count, dropped_events_count, dropped_links_count, role, span_id, parent_span_id, name,
    attributes)
SELECT timestamptz 'epoch' + ns / 1000 * interval '1 microsecond', ns, ns + length::bigint * 1000000,
       CASE WHEN %(run)s::uuid IS NOT NULL AND trace = 60 THEN %(run)s ELSE md5(%(day)s::text || trace)::uuid END,
       %(shop)s, %(scope)s, 0, 1, CASE WHEN role = 1 AND trace %% 10 = 0 THEN 2 ELSE 0 END, 0, 0, 0, role,
       decode(lpad(to_hex(trace * 8 + j), 16, '0'), 'hex'),
       CASE WHEN parent >= 0 THEN decode(lpad(to_hex(trace * 8 + parent), 16, '0'), 'hex') END, name,
       jsonb_build_object('otelgres.flow.name', 'job ' || trace %% 2, 'filler', repeat('x', 300), 'total_atms', 14)
FROM (
    SELECT trace, v.*,
           extract(epoch FROM %(day)s + trace * interval '700 seconds')::bigint * 1000000000 + j * 1000000 AS ns
    FROM generate_series(0, 119) AS trace
    CROSS JOIN (VALUES (0, -1, 1, 9000, 'job'), (1, 0, 2, 50, 'auth'), (2, 0, 2, 40, 'save'))
        AS v (j, parent, role, length, name)
) s
"""
FILL_LOGS = """
INSERT INTO _otel.logs (
    time, time_unix_nano, observed_time_unix_nano, resource_id, scope_id, severity_number, flags,
    dropped_attributes_count, trace_id, body, attributes)
SELECT %(day)s + n / 10 * interval '700 seconds', 0, 0, %(shop)s, %(scope)s,
       CASE n %% 20 WHEN 0 THEN 17 ELSE 9 END, 0, 0,
       CASE WHEN %(run)s::uuid IS NOT NULL AND n / 10 = 60 THEN %(run)s ELSE md5(%(day)s::text || n / 10)::uuid END,
       repeat('x', 200), '{"execution_phase": "auth", "terminal_id": "T1"}'::jsonb
FROM generate_series(0, 1199) AS n
UNION ALL
-- Of no run.
SELECT %(day)s + n * interval '17 seconds', 0, 0, %(shop)s, %(scope)s, 9, 0, 0, NULL, repeat('x', 200), NULL::jsonb
FROM generate_series(0, 4999) AS n
"""
FILL_OTHERS = """
INSERT INTO _otel.logs (
    time, time_unix_nano, observed_time_unix_nano, resource_id, scope_id, severity_number, flags,
    dropped_attributes_count, trace_id, body)
SELECT %(day)s + n * interval '1 second', 0, 0, %(shop)s, %(scope)s, 9, 0, 0,
       CASE n WHEN 0 THEN %(run)s ELSE md5((n %% 2)::text)::uuid END, repeat('x', 200)
FROM generate_series(0, 9999) AS n
"""


@pytest.fixture(scope="module")
def plans(cluster: Cluster, migrated: str) -> Iterator[Connection]:
    with (
        postgres.new_database(cluster, migrated) as dsn,
        psycopg.connect(dsn, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        connection.execute("SET timezone = 'UTC'")
        values = {"shop": rows.resource(connection, "shop"), "scope": rows.scope(connection)}
        for ago in range(1, DAYS):
            day = TODAY - timedelta(days=ago)
            rows.make_partitions(connection, [day], *rows.SPAN_TABLES, "logs")
            for statement in (FILL_SPANS, FILL_LOGS):
                cursor.execute(statement.encode(), values | {"day": day, "run": RUN if day == DAY else None})
        connection.execute("ANALYZE")
        yield connection


def test_a_run_is_read_by_its_id(plans: Connection) -> None:
    query = f"SELECT * FROM compat.execution_summary WHERE execution_id = '{RUN}'"
    assert len(plans.execute(query.encode()).fetchall()) == 1
    for table in ("flow_parts", "spans", "logs"):
        found = scans(plans, query, of=table)
        assert "Seq Scan" not in {scan.how for scan in found if scan.rows}, found
        # Of logs it may be those of the minutes around the run, by time.
        assert sum(scan.rows for scan in found) <= 120
        if table != "flow_parts":
            assert days(found) == {DAY.date()}


def test_a_time_filter_reads_its_days(plans: Connection) -> None:
    since, until = DAY + timedelta(hours=6), DAY + timedelta(hours=7)
    query = f"SELECT * FROM compat.execution_summary WHERE start_time >= '{since}' AND start_time < '{until}'"
    assert len(plans.execute(query.encode()).fetchall()) == 5
    assert sum(scan.rows for scan in scans(plans, query, of="flow_parts")) <= 10
    for table in ("spans", "logs"):
        assert days(scans(plans, query, of=table)) == {DAY.date()}
    query = f"SELECT * FROM compat.log_events WHERE timestamp >= '{since}' AND timestamp < '{until}'"
    assert days(scans(plans, query, of="logs")) == {DAY.date()}


def test_the_latest_runs_are_read_without_the_others(plans: Connection) -> None:
    query = "SELECT * FROM compat.execution_summary ORDER BY start_time DESC LIMIT 10"
    assert sum(scan.rows for scan in scans(plans, query, of="flow_parts")) <= 20
    # Three spans a run, each looked at twice at most; log records of the minutes around it. There are 124,000.
    assert sum(scan.rows for scan in scans(plans, query, of="spans")) <= 60
    assert sum(scan.rows for scan in scans(plans, query, of="logs")) <= 1000


def test_a_run_that_has_not_ended_reads_its_own_logs(connection: Connection) -> None:
    start = rows.unix_nano(rows.NOON)
    trace = uuid.UUID(int=7)
    name = {"otelgres.flow.name": "hung"}
    rows.insert(
        connection,
        [rows.Span(trace=trace, start=start, end=start, role=rows.CHECKPOINT, parent=b"1" * 8, attributes=name)],
    )
    values = {"shop": rows.resource(connection, "shop"), "scope": rows.scope(connection)}
    rows.make_partitions(connection, [rows.NOON], "logs")
    # Its first record, then thousands of two others: by the average, the latest of a trace is soon found from the end.
    with connection.cursor() as cursor:
        cursor.execute(FILL_OTHERS.encode(), values | {"day": rows.NOON, "run": trace})
    connection.execute("ANALYZE")
    query = f"SELECT state, end_time FROM compat.execution_summary WHERE execution_id = '{trace}'"
    assert [state for state, _ in connection.execute(query.encode()).fetchall()] == ["abandoned"]
    # To find the last of them in the index on time would be to pass by all that others wrote since.
    plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {query}".encode()).fetchall())
    assert not re.search(r"Scan Backward using logs_\d+_time_idx ", plan), plan


def test_what_is_not_asked_for_is_not_looked_up(plans: Connection) -> None:
    query = "SELECT count(*) FROM compat.execution_summary WHERE success"
    assert plans.execute(query.encode()).fetchone() == (108 * (DAYS - 1),)
    assert scans(plans, query, of="logs") == []


def test_outcomes_of_many_are_counted_from_the_roll_up(plans: Connection) -> None:
    query = "SELECT name, count(*) FILTER (WHERE succeeded), max(seconds) FROM compat.execution_outcomes GROUP BY name"
    runs = 60 * (DAYS - 1)
    assert sorted(plans.execute(query.encode()).fetchall()) == [("job 0", runs * 4 // 5, 9), ("job 1", runs, 9)]
    found = scans(plans, query, of="flow_parts")
    assert sum(scan.rows for scan in found if scan.how == "Seq Scan") == 2 * runs
    assert scans(plans, query, of="spans") == scans(plans, query, of="logs") == []


def test_a_run_over_two_weeks_is_one(connection: Connection) -> None:
    monday = rows.NOON.replace(day=9, hour=0)
    trace = uuid.UUID(int=99)
    name = {"otelgres.flow.name": "long"}
    before = rows.unix_nano(monday - timedelta(hours=1))
    after = rows.unix_nano(monday + timedelta(hours=1))
    root = rows.Span(trace=trace, start=before, end=after, role=rows.FLOW, attributes=name)
    later = rows.Span(trace=trace, start=after, end=after, role=rows.PHASE, attributes=name, parent=root.id)
    for day in range(7):
        # The change of weeks is where the database says it is: one of these splits the flow.
        shift = day * 86400 * 1000 * rows.MS
        moved = [
            dataclasses.replace(span, start=span.start + shift, end=span.end + shift, trace=uuid.UUID(int=day + 1))
            for span in (root, later)
        ]
        rows.insert(connection, moved)
    assert connection.execute("SELECT count(*) FROM _otel.flow_parts WHERE linked").fetchone() == (2,)
    query = b"SELECT count(*), count(DISTINCT execution_id), min(seconds), max(seconds) FROM compat.execution_outcomes"
    assert connection.execute(query).fetchone() == (7, 7, 7200, 7200)


def test_errors_are_found_by_their_index(plans: Connection) -> None:
    query = (
        "SELECT execution_phase, count(*) FROM compat.log_events "
        f"WHERE level = 'ERROR' AND timestamp >= '{DAY}' GROUP BY execution_phase"
    )
    assert plans.execute(query.encode()).fetchall() == [("auth", 600)]
    plans.execute("SET enable_seqscan = off")
    found = scans(plans, query, of="logs")
    plans.execute("RESET enable_seqscan")
    assert "Seq Scan" not in {scan.how for scan in found if scan.rows}
    assert sum(scan.rows for scan in found if scan.how in ("Index Scan", "Bitmap Heap Scan")) == 600
