"""What each view reads for the filters that people use: the days asked for and no others, by index where there is one.

Looked at in what was really executed (EXPLAIN ANALYZE), because filters with now() leave partitions out only then.
"""

import dataclasses
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from otelgres.collector.embedded import Cluster, Login
from tests import postgres
from tests.sql import rows
from tests.sql.rows import Connection

DAYS = 21
TRACES_A_DAY = 120
SPANS_A_TRACE = 5
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
# The flow that is looked for: one of ten days ago, far from midnight.
DAY = TODAY - timedelta(days=10)
FLOW = uuid.uuid5(uuid.NAMESPACE_URL, "flow")

# A day of flows, each a root, a call into another service, its answer and two checkpoints; of logs and of points.
FILL_SPANS = """
INSERT INTO _otel.spans (
    start_time, start_time_unix_nano, end_time_unix_nano, trace_id, resource_id, scope_id, flags, kind, status_code,
    dropped_attributes_count, dropped_events_count, dropped_links_count, role, span_id, parent_span_id, name,
    attributes)
SELECT timestamptz 'epoch' + ns / 1000 * interval '1 microsecond', ns, ns + length * 1000000,
       CASE WHEN %(flow)s::uuid IS NOT NULL AND trace = 60 THEN %(flow)s ELSE md5(%(day)s::text || trace)::uuid END,
       CASE WHEN j = 2 THEN %(depot)s ELSE %(shop)s END, %(scope)s, 0, kind, 0, 0, 0, 0, role,
       decode(lpad(to_hex(trace * 8 + j), 16, '0'), 'hex'),
       CASE WHEN parent >= 0 THEN decode(lpad(to_hex(trace * 8 + parent), 16, '0'), 'hex') END, name,
       jsonb_build_object('filler', repeat('x', 300))
FROM (
    SELECT trace, v.*,
           extract(epoch FROM %(day)s + trace * interval '700 seconds')::bigint * 1000000000 + j * 1000000 AS ns
    FROM generate_series(0, %(traces)s - 1) AS trace
    CROSS JOIN (VALUES (0, -1, 2, 90, NULL::smallint, 'root'), (1, 0, 3, 50, NULL, 'ask'),
                       (2, 1, 2, 40, NULL, 'answer'),
                       (3, 0, 1, 0, 3, 'ONE'), (4, 0, 1, 0, 3, 'TWO')) AS v (j, parent, kind, length, role, name)
) s
"""
FILL_LOGS = """
INSERT INTO _otel.logs (
    time, time_unix_nano, observed_time_unix_nano, resource_id, scope_id, severity_number, flags,
    dropped_attributes_count, trace_id, body)
SELECT %(day)s + n * interval '160 seconds', 0, 0, %(shop)s, %(scope)s, 9, 0, 0,
       CASE WHEN %(flow)s::uuid IS NOT NULL AND n = 250 THEN %(flow)s ELSE md5(%(day)s::text || n)::uuid END,
       repeat('x', 200)
FROM generate_series(0, 499) AS n
"""
FILL_POINTS = """
INSERT INTO _otel.number_points (time, series_id, time_unix_nano, start_time_unix_nano, flags, value_int)
SELECT %(day)s + n * interval '160 seconds', (n %% 100) + 1, 0, 0, 0, n FROM generate_series(0, 499) AS n
"""


@pytest.fixture(scope="module")
def filled(cluster: Cluster, migrated: str) -> Iterator[str]:
    """The DSN of a database with three weeks in it."""
    with (
        postgres.new_database(cluster, migrated) as dsn,
        psycopg.connect(dsn, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        connection.execute("SET timezone = 'UTC'")
        for number in range(100):
            rows.series(connection, f"metric.{number}", 7)
        values = {"shop": rows.resource(connection, "shop"), "depot": rows.resource(connection, "depot")}
        values |= {"scope": rows.scope(connection), "traces": TRACES_A_DAY}
        for ago in range(-1, DAYS):
            day = TODAY - timedelta(days=ago)
            rows.make_partitions(connection, [day], *rows.SPAN_TABLES, "logs", "number_points")
            if ago >= 0:
                parameters = values | {"day": day, "flow": FLOW if day == DAY else None}
                for statement in (FILL_SPANS, FILL_LOGS, FILL_POINTS):
                    cursor.execute(statement.encode(), parameters)
        connection.execute("ANALYZE")
        yield dsn


@pytest.fixture(params=["with statistics", "without"])
def plans(request: pytest.FixtureRequest, filled: str) -> Iterator[Connection]:
    """The planner with and without statistics of the tables as wholes, which nothing gathers by itself."""
    # As superuser, who may remove statistics.
    with psycopg.connect(postgres.as_login(filled, Login.SUPERUSER)) as connection:
        connection.execute("SET timezone = 'UTC'")
        if request.param == "without":
            connection.execute(
                "DELETE FROM pg_statistic WHERE starelid IN (SELECT oid FROM pg_class WHERE relkind = 'p')"
            )
        yield connection
        connection.rollback()


@dataclasses.dataclass(frozen=True)
class Scan:
    """A scan that was executed."""

    table: str
    how: str
    index: str | None
    condition: str
    rows: int

    @property
    def day(self) -> date | None:
        stem = self.table.rpartition("_")[2]
        return datetime.strptime(stem, "%Y%m%d").replace(tzinfo=UTC).date() if stem.isdecimal() else None


def scans(connection: Connection, query: str, *parameters: Any, of: str) -> list[Scan]:
    """The scans of a query that were executed on partitions of a table."""
    row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}".encode(), parameters).fetchone()
    assert row is not None
    found: list[Scan] = []

    def walk(node: dict[str, Any], table: str = "") -> None:
        if not node["Actual Loops"]:
            return
        table = node.get("Relation Name", table)
        if table.rpartition("_")[0] == of:
            read = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
            found.append(
                Scan(table, node["Node Type"], node.get("Index Name"), node.get("Index Cond", ""), round(read))
            )
        for child in node.get("Plans", []):
            walk(child, table)

    walk(row[0][0]["Plan"])
    return found


def days(found: list[Scan]) -> set[date]:
    return {scan.day for scan in found if scan.day is not None}


def days_from(first: datetime, last: datetime) -> set[date]:
    return {(first + timedelta(days=n)).date() for n in range((last.date() - first.date()).days + 1)}


TIME_FILTERED = [
    ("spans", "start_time", "spans"),
    ("checkpoints", "time", "spans"),
    ("phase_timing", "start_time", "spans"),
    ("phase_timing", "flow_start_time", "spans"),
    ("service_edges", "start_time", "spans"),
    ("span_stats", "minute", "span_stats"),
    ("service_stats", "minute", "span_stats"),
    ("logs", "time", "logs"),
    ("metric_points", "time", "number_points"),
]


@pytest.mark.parametrize(("view", "column", "table"), TIME_FILTERED)
def test_a_time_filter_reads_only_its_days(plans: Connection, view: str, column: str, table: str) -> None:
    since, until = DAY + timedelta(hours=6), DAY + timedelta(hours=18)
    found = scans(plans, f"SELECT * FROM otel.{view} WHERE {column} >= '{since}' AND {column} < '{until}'", of=table)
    # A caller may have begun up to a day before.
    extra = {DAY.date() - timedelta(days=1)} if view == "service_edges" else set()
    assert DAY.date() in days(found)
    assert days(found) - extra == {DAY.date()}

    found = scans(plans, f"SELECT * FROM otel.{view} WHERE {column} > now() - interval '36 hours'", of=table)
    now = datetime.now(UTC)
    # A hash join for each flow looks first whether the flow has such a span, but not after one that has. So the flow
    # after the last of these is read too, and may be of the day before.
    found = [scan for scan in found if scan.rows > SPANS_A_TRACE]
    assert days(found)
    assert days(found) <= days_from(now - timedelta(hours=36 + (24 if extra else 0)), now + timedelta(days=2))


def test_flows_in_a_time_are_found_by_index(plans: Connection) -> None:
    since, until = DAY + timedelta(hours=6), DAY + timedelta(hours=18)
    query = f"SELECT * FROM otel.flows WHERE start_time >= '{since}' AND start_time < '{until}'"
    found = scans(plans, query, of="flow_parts")
    week = DAY.date() - timedelta(days=DAY.weekday())
    assert days(found) == {week}  # the others are left out by their CHECK
    assert sum(scan.rows for scan in found) <= 7 * TRACES_A_DAY
    plans.execute("SET LOCAL enable_seqscan = off")
    found = scans(plans, "SELECT * FROM otel.flows WHERE start_time > now() - interval '3 hours'", of="flow_parts")
    assert sum(scan.rows for scan in found) <= TRACES_A_DAY


def test_the_latest_flows_are_read_without_the_others(plans: Connection) -> None:
    found = scans(plans, "SELECT * FROM otel.flows ORDER BY start_time DESC LIMIT 20", of="flow_parts")
    assert {scan.how for scan in found} == {"Index Scan"}
    assert 20 <= sum(scan.rows for scan in found) <= 40


def test_the_name_of_an_unnamed_flow_is_read_from_its_day(plans: Connection) -> None:
    start = rows.unix_nano(DAY)
    trace = uuid.uuid4()
    rows.insert(plans, [rows.Span(trace=trace, start=start, end=start, parent=rows.span_id(1), name="orphan")])
    query = f"SELECT name FROM otel.flows WHERE flow_id = '{trace}'"
    assert plans.execute(query.encode()).fetchall() == [("orphan",)]
    assert days(scans(plans, query, of="spans")) == {DAY.date()}


def test_the_latest_logs_are_read_without_the_others(plans: Connection) -> None:
    found = scans(plans, "SELECT * FROM otel.logs ORDER BY time DESC LIMIT 20", of="logs")
    assert {scan.how for scan in found} == {"Index Scan"}
    assert 20 <= sum(scan.rows for scan in found) <= 40


@pytest.mark.parametrize(
    ("view", "table", "only_its_days"),
    [
        ("spans", "spans", False),
        ("flows", "flow_parts", False),
        ("checkpoints", "spans", False),
        ("phase_timing", "spans", True),
        ("service_edges", "spans", False),
        ("logs", "logs", False),
    ],
)
def test_a_flow_is_found_by_index(plans: Connection, view: str, table: str, only_its_days: bool) -> None:
    found = scans(plans, f"SELECT * FROM otel.{view} WHERE flow_id = '{FLOW}'", of=table)
    by_index = [scan for scan in found if scan.index]
    assert all("trace_id = " in scan.condition for scan in by_index)
    # Only partitions that are as good as empty may be read whole.
    assert all(scan.rows == 0 for scan in found if scan.how == "Seq Scan")
    assert DAY.date() in days(by_index) or table == "flow_parts"
    assert sum(scan.rows for scan in found) <= 60
    if only_its_days:
        assert days(found) == {DAY.date()}


@pytest.mark.parametrize(("view", "table"), [("spans", "spans"), ("flows", "flow_parts"), ("logs", "logs")])
def test_hex_digits_are_found_by_block_ranges(plans: Connection, view: str, table: str) -> None:
    # In tables as small as these reading them whole is cheaper.
    plans.execute("SET LOCAL enable_seqscan = off")
    found = scans(plans, f"SELECT * FROM otel.{view} WHERE trace_id = '{FLOW.hex}'", of=table)
    filled = [scan for scan in found if scan.day is None or scan.day <= TODAY.date()]
    assert filled
    assert {scan.how for scan in filled} <= {"Bitmap Heap Scan", "Bitmap Index Scan"}
    assert all("encode(uuid_send(trace_id)" in scan.condition for scan in filled if scan.how == "Bitmap Index Scan")


def test_a_metric_is_found_by_name(plans: Connection) -> None:
    query = "SELECT value FROM otel.metric_points WHERE metric_name = 'metric.7' AND time > now() - interval '36 hours'"
    found = scans(plans, query, of="number_points")
    assert days(found) <= days_from(datetime.now(UTC) - timedelta(hours=36), TODAY + timedelta(days=1))
    assert all("series_id = " in scan.condition for scan in found if scan.index)


def test_services_read_no_spans(plans: Connection) -> None:
    assert scans(plans, "SELECT * FROM otel.services", of="spans") == []
    now = datetime.now(UTC)
    found = scans(plans, "SELECT * FROM otel.services", of="service_stats")
    assert days(found) <= days_from(now - timedelta(hours=24), now + timedelta(days=1))


def test_what_is_in_flight_is_looked_for_in_its_days(plans: Connection) -> None:
    shop, scope = rows.resource(plans, "shop"), rows.scope(plans)
    for ago in (0, 10):
        for number in range(3):
            record = {"time": TODAY - timedelta(days=ago, microseconds=-number), "time_unix_nano": 1,
                      "observed_time_unix_nano": 0, "resource_id": shop, "scope_id": scope, "severity_number": 9,
                      "flags": 0, "dropped_attributes_count": 0}  # fmt: skip
            rows.put(
                plans, "logs", **record, trace_id=uuid.uuid4(), span_id=rows.span_id(number),
                event_name="otelgres.span.start",
            )  # fmt: skip
            rows.put(plans, "logs", **record, event_name="otelgres.process.alive")
    query = f"SELECT * FROM otel.in_flight WHERE start_time >= '{DAY}' AND start_time < '{DAY + timedelta(days=1)}'"
    assert len(plans.execute(query.encode()).fetchall()) == 3
    found = scans(plans, query, of="logs")
    # The latest report of its process is of today, and nothing in between is read.
    assert {scan.day for scan in found if scan.rows > 0} == {DAY.date(), TODAY.date()}
    assert all(scan.index for scan in found if scan.rows > 0)
    assert sum(scan.rows for scan in found) <= 20
    assert days(scans(plans, query, of="spans")) == {DAY.date()}
    assert {scan.how for scan in scans(plans, query, of="spans")} <= {"Index Scan", "Index Only Scan"}


def test_starts_that_were_looked_at_and_had_ended_are_not_read_again(plans: Connection) -> None:
    shop, scope = rows.resource(plans, "shop"), rows.scope(plans)
    for number in range(50):
        at, trace = DAY + timedelta(seconds=number), uuid.uuid4()
        rows.put(
            plans, "logs", time=at, time_unix_nano=1, observed_time_unix_nano=0, resource_id=shop, scope_id=scope,
            severity_number=9, flags=0, dropped_attributes_count=0, trace_id=trace, span_id=rows.span_id(1),
            event_name="otelgres.span.start",
        )  # fmt: skip
        if number:
            start = rows.unix_nano(at)
            rows.insert(plans, [rows.Span(trace=trace, id=rows.span_id(1), start=start, end=start)])
    query = "SELECT * FROM otel.in_flight"
    assert sum(scan.rows for scan in scans(plans, query, of="logs")) >= 50
    assert plans.execute("SELECT _otel.refresh_open_starts('0')").fetchall() == [(1,)]
    assert len(plans.execute(query.encode()).fetchall()) == 1
    assert sum(scan.rows for scan in scans(plans, query, of="logs")) <= 2


EXPERIMENT = uuid.uuid5(uuid.NAMESPACE_URL, "experiment")


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT * FROM compat.pipeline_logs WHERE experiment_id = '{}'", "case_time_idx"),
        (
            "SELECT * FROM compat.pipeline_logs WHERE experiment_id = '{}' ORDER BY timestamp DESC LIMIT 5",
            "case_time_idx",
        ),
        ("SELECT * FROM compat.pipeline_events WHERE experiment_id = '{}'", "case_time_idx"),
        ("SELECT * FROM compat.pipeline_progress WHERE experiment_id = '{}'", "case_time_idx"),
        ("SELECT * FROM compat.pipeline_progress_summary WHERE experiment_id = '{}'", "case_time_idx"),
        ("SELECT * FROM compat.recent_experiment_errors LIMIT 5", "time_idx"),
        ("SELECT * FROM compat.active_pipeline_monitoring", "received_at_idx"),
    ],
)
def test_an_experiment_is_found_without_other_logs(plans: Connection, query: str, index: str) -> None:
    values = {"resource_id": rows.resource(plans, "shop"), "scope_id": rows.scope(plans), "flags": 0,
              "dropped_attributes_count": 0, "observed_time_unix_nano": 0, "severity_number": 17}  # fmt: skip
    attributes = f'{{"experiment_id": "{EXPERIMENT}", "node_id": "a"}}'
    for number, event in enumerate([None, "otelgres.progress", "otelgres.pipeline", "otelgres.span.start"] * 3):
        rows.put(
            plans, "logs", **values, time=TODAY + timedelta(seconds=number), time_unix_nano=number, event_name=event,
            attributes=attributes, trace_id=uuid.uuid4(), span_id=rows.span_id(number),
        )  # fmt: skip
    # Beside those of other experiments.
    plans.execute(
        """
        INSERT INTO _otel.logs (time, time_unix_nano, observed_time_unix_nano, resource_id, scope_id, severity_number,
                                flags, dropped_attributes_count, event_name, attributes)
        SELECT %s + n * interval '1 s', n, 0, 1, 1, 9, 0, 0,
               (ARRAY[NULL, 'otelgres.progress', 'otelgres.pipeline'])[n %% 3 + 1],
               jsonb_build_object('experiment_id', md5((n %% 50)::text)::uuid, 'node_id', n)
        FROM generate_series(1, 3000) n
        """,
        [TODAY],
    )
    plans.execute(f"ANALYZE _otel.logs_{TODAY:%Y%m%d}".encode())
    assert plans.execute(query.format(EXPERIMENT).encode()).fetchall()
    found = [scan for scan in scans(plans, query.format(EXPERIMENT), of="logs") if scan.rows > 0]
    assert all(index in (scan.index or "") for scan in found if scan.how != "Bitmap Heap Scan"), found
    assert sum(scan.rows for scan in found) <= 100


def test_metrics_of_an_experiment_are_found_by_their_series(plans: Connection) -> None:
    series = rows.series(plans, "loss", 5, attributes={"experiment_id": str(EXPERIMENT)})
    rows.put(
        plans, "number_points", time=TODAY, series_id=series, time_unix_nano=1, start_time_unix_nano=0, flags=0,
        value_double=0.5,
    )  # fmt: skip
    query = f"SELECT metric_value FROM compat.pipeline_metrics WHERE experiment_id = '{EXPERIMENT}'"
    assert plans.execute(query.encode()).fetchall() == [(0.5,)]
    found = [scan for scan in scans(plans, query, of="number_points") if scan.rows > 0]
    assert all("series_id" in scan.condition for scan in found if scan.how != "Bitmap Heap Scan"), found
    assert sum(scan.rows for scan in found) <= 5
