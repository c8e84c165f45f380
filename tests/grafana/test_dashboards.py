"""Every query of every dashboard, expanded as Grafana does and run by a reader on what real applications have left."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from otelgres.collector.embedded import Cluster, Login
from tests import postgres
from tests.acceptance.receiver_process import environment, rows, run_otelgres, serve
from tests.grafana.dashboards import FILES, Query, every_query, queries, read, variables
from tests.grafana.macros import Unknown, expand
from tests.waiting import TIMEOUT, until

DATASOURCE = {"type": "grafana-postgresql-datasource", "uid": "otelgres"}
# What only shows when something is wrong, or when it is there at all: no rows are right.
MAY_BE_EMPTY = {
    "receiver: Losses",
    "receiver: Losses by reason",
    "metrics: Exemplars",
    "metrics: Values",
    "metrics: Rate per second",
    "metrics: Quantiles",
    "metrics: Heat map",
}
# Applications whose relations in schema compat the dashboard of runs and pipelines asks.
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
INTEGRATION = """
import uuid
from otel_setup import configure_telemetry, expected_checkpoints, shutdown_telemetry
from otel_setup.integration import DatabaseIntegrationLogger
configure_telemetry(service_name="dashboard")
expected_checkpoints("PATTERN_PUBLISHED", ["PATTERN_PUBLISHED", "EVENT_RECEIVED", "WEBSOCKET_DELIVERED"])
logger = DatabaseIntegrationLogger("Dashboard")
logger.log_subscription("events.patterns")
logger.log_subscription("events.patterns", confirmed=True)
logger.log_heartbeat({"events_received": 7})
for number in range(5):
    event = {"flow_id": str(uuid.uuid4()), "symbol": "AAPL", "pattern": "Doji"}
    logger.log_checkpoint("PATTERN_PUBLISHED", event=event)
    logger.log_checkpoint("EVENT_RECEIVED", event=event)
    if number:
        logger.log_checkpoint("WEBSOCKET_DELIVERED", event=event, user_count=3)
shutdown_telemetry()
"""
PIPELINE = """
import logging, os, uuid
from otel_setup import configure_telemetry
from otel_setup.pipelines import get_structured_logger, metric, phase, pipeline
telemetry = configure_telemetry(service_name="trainer")
logging.getLogger().addHandler(logging.NullHandler())
log = get_structured_logger("trainer.work")
with pipeline("train", str(uuid.uuid4()), "clusters", parts=2):
    with phase("load", units=4) as load:
        load.advance()
        metric("throughput", 125.5, "{row}/s")
        log.error("a shard is missing", shard=3)
    with phase("fit"):
        telemetry.force_flush()
        os._exit(0)  # as if it had been killed: the phase never ends
"""
READER = "reader_of_panels"
TRACE = {"traceID", "spanID", "parentSpanID", "operationName", "serviceName", "startTime", "duration"}


class Filled:
    """A database that the demo has filled, and a time that holds all of it."""

    def __init__(self, dsn: str, reader: str) -> None:
        self.dsn = dsn
        self.reader = reader
        self.until = datetime.now(UTC) + timedelta(seconds=1)
        self.since = self.until - timedelta(hours=1)
        with psycopg.connect(dsn) as connection:
            # A flow that did not end has everything: phases, logs, what is open.
            flow = connection.execute(
                "SELECT flow_id FROM otel.flows WHERE complete AND error_count > 0 ORDER BY span_count DESC LIMIT 1"
            ).fetchone()
            stalled = connection.execute("SELECT flow_id FROM otel.span_starts WHERE open LIMIT 1").fetchone()
        assert flow is not None
        assert stalled is not None
        self.flow = str(flow[0])
        self.stalled = str(stalled[0])

    def run(self, query: Query, file: Path, **chosen: str) -> list[dict[str, Any]]:
        """The rows of a query, read as Grafana reads them."""
        with psycopg.connect(self.reader, row_factory=dict_row) as connection:
            with psycopg.connect(self.reader) as other:
                known = variables(file, other, **chosen)
            sql = query.sql(self.since, self.until, known)
            return connection.execute(sql.encode()).fetchall()


@pytest.fixture(scope="module")
def filled(cluster: Cluster, migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    with postgres.new_database(cluster, migrated) as dsn:
        spool = tmp_path_factory.mktemp("spool")
        with serve(dsn, str(spool)) as receiver:
            ready = receiver.ready()
            done = run_otelgres("demo", "--endpoint", f"http://{ready['grpc']}", "--seconds", "5", timeout=90)
            assert done.returncode == 0, done.stderr
            for program in (["-c", INTEGRATION], ["-c", PIPELINE], [str(EXAMPLES / "operations.py")]):
                called = subprocess.run(
                    [sys.executable, *program],
                    env=environment(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{ready['grpc']}"),
                    capture_output=True,
                    text=True,
                    timeout=TIMEOUT,
                )
                assert (called.returncode, called.stderr) == (0, "")
            with psycopg.connect(dsn, autocommit=True) as connection:
                # The hour is not over: what a receiver does later is done now.
                for hour in connection.execute("SELECT * FROM _otel.hours_to_roll_up('2100-01-01')").fetchall():
                    connection.execute("SELECT _otel.roll_up_hour(%s, %s)", hour)
            found = "SELECT 1 FROM otel.receivers WHERE name = 'otelcol_receiver_requests'"
            until(lambda: rows(dsn, found), "the receiver to tell its numbers")
            made = run_otelgres("role", "create", READER, "--kind", "reader", OTELGRES_DSN=dsn)
            assert made.returncode == 0, made.stderr
            try:
                yield Filled(dsn, postgres.as_login(dsn, READER))
            finally:
                superuser = postgres.as_login(dsn, Login.SUPERUSER)
                with psycopg.connect(superuser, autocommit=True) as connection:
                    connection.execute(f"DROP OWNED BY {READER}; DROP ROLE {READER}")
            assert receiver.stop() == 0


@pytest.mark.parametrize("query", every_query(), ids=lambda query: query.name)
def test_a_panel_shows_something(filled: Filled, query: Query) -> None:
    file = next(file for file in FILES if file.stem == query.dashboard)
    chosen = {}
    if query.dashboard == "flow":
        chosen["flow"] = filled.stalled if query.panel["title"].startswith("Open") else filled.flow
    found = filled.run(query, file, **chosen)
    if not found:
        assert query.name in MAY_BE_EMPTY, "no row"
        return
    _has_what_it_needs(query, found)


@pytest.mark.parametrize("query", every_query(), ids=lambda query: query.name)
def test_a_panel_reads_the_time_shown_and_no_more(filled: Filled, query: Query) -> None:
    file = next(file for file in FILES if file.stem == query.dashboard)
    with psycopg.connect(filled.dsn, autocommit=True) as connection:
        for (table,) in connection.execute("SELECT name FROM _otel.partitioned").fetchall():
            connection.execute("SELECT _otel.make_partition(%s, now() - interval '60 days')", [table])
        old = {
            name
            for (name,) in connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r'").fetchall()
            if (day := re.search(r"_(\d{8})$", name)) and day[1] < f"{filled.since - timedelta(days=30):%Y%m%d}"
        }
        assert old
        known = variables(file, connection, **({"flow": filled.flow} if query.dashboard == "flow" else {}))
        # So that an empty table is not read as a whole because that is as cheap.
        connection.execute("SET enable_seqscan = off")
        sql = query.sql(filled.since, filled.until, known)
        (plan,) = connection.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + sql.encode()).fetchone() or ({},)
    for node in _nodes(plan[0]["Plan"]):
        if node.get("Relation Name") in old and node["Actual Loops"]:
            # By the flow's id it may be looked up in every day, by an index.
            assert node["Node Type"] != "Seq Scan", node


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from _nodes(below)


def _has_what_it_needs(query: Query, rows: list[dict[str, Any]]) -> None:
    """The columns that the panel type reads, by their names and types."""
    first = rows[0]
    kind = query.panel["type"]
    if kind in ("timeseries", "heatmap"):
        assert query.target["format"] == "time_series"
        times = [row["time"] for row in rows]
        assert times == sorted(times)
        numbers = [name for name in first if name not in ("time", "metric")]
        assert numbers
        assert all(isinstance(row[name], float | int | None) for row in rows for name in numbers)
    else:
        assert query.target["format"] == "table"
    if kind == "traces":
        assert set(first) >= TRACE
        assert all(row["spanID"] and row["traceID"] and row["startTime"] for row in rows)
        assert isinstance(first["tags"], list)
        assert isinstance(first["logs"], list)
        assert len({row["traceID"] for row in rows}) == 1
    if kind == "logs":
        names = list(first)
        assert isinstance(first[names[0]], datetime)
        assert isinstance(first[names[1]], str)
        assert "level" in names
    for row in rows:
        for name, value in row.items():
            # A browser rounds whole numbers beyond 2^53, and shows bytes as noise.
            assert not isinstance(value, bytes), name
            assert not (isinstance(value, int) and abs(value) > 2**53), name


def test_metrics_of_each_kind_are_shown(filled: Filled) -> None:
    file = next(file for file in FILES if file.stem == "metrics")
    by_title = {query.panel["title"]: query for query in queries(file)}
    with psycopg.connect(filled.reader) as connection:
        named = connection.execute("SELECT type, min(metric_name) FROM otel.metrics GROUP BY 1").fetchall()
        metrics: dict[str, str] = dict(named)
    for title, kinds in (
        ("Values", ("gauge", "sum")),
        ("Rate per second", ("sum", "histogram")),
        ("Quantiles", ("histogram",)),
        ("Heat map", ("histogram",)),
    ):
        for kind in kinds:
            rows = filled.run(by_title[title], file, metric=metrics[kind])
            assert rows, f"{title} of {kind} {metrics[kind]}"
            _has_what_it_needs(by_title[title], rows)


def test_what_is_typed_into_a_field_is_text_and_nothing_else(filled: Filled) -> None:
    file = next(file for file in FILES if file.stem == "logs")
    for query in queries(file):
        assert filled.run(query, file, search="'; DROP SCHEMA otel; --%") == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_is_as_grafana_wants_it(file: Path) -> None:
    dashboard = read(file)
    assert dashboard["uid"] == f"otelgres-{file.stem}"
    assert dashboard["id"] is None
    assert dashboard["schemaVersion"] in (41, 42)
    assert file.read_text(encoding="utf-8") == json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in dashboard["panels"]:
        assert panel["datasource"] == DATASOURCE
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        for target in panel["targets"]:
            assert target["datasource"] == DATASOURCE
            assert target["format"] in ("table", "time_series")
            assert target["rawQuery"]
            assert "LIMIT" in target["rawSql"] or panel["type"] != "logs"
    for one in _links(dashboard):
        if one.startswith("/d/"):
            assert one.split("/")[2] in {read(other)["uid"] for other in FILES}
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells), "panels lie on each other"


def _links(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key == "url" and isinstance(value, str):
                yield value
            yield from _links(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _links(value)


def test_macros_are_expanded_as_grafana_does() -> None:
    since, until = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 1, 2, 4, 4, 5, tzinfo=UTC)

    def of(sql: str, **values: Any) -> str:
        return expand(sql, since, until, "5m", values)

    assert of("$__timeFilter(a.b)") == "a.b BETWEEN '2026-01-02T03:04:05Z' AND '2026-01-02T04:04:05Z'"
    assert of("$__timeGroup(t, $__interval) AS x") == "floor(extract(epoch from t)/300)*300 AS x"
    assert of("$__timeGroup(t,'1h'), n") == 'floor(extract(epoch from t)/3600)*3600 AS "time", n'
    assert of("IN ($s) $one ${one:sqlstring}", s=["a", "b'c"], one="d'e") == "IN ('a','b''c') d'e 'd''e'"
    with pytest.raises(Unknown):
        of("$__timeRange(t)")
    with pytest.raises(Unknown):
        of("$nobody")
