"""Incomplete flows, what is missing and the likely cause; heartbeats and subscriptions, late and in time."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql import rows
from tests.sql.conftest import Ask
from tests.sql.rows import Connection, Span


def store(connection: Connection, name: str, *checkpoints: str, ended: bool, start: datetime = rows.NOON) -> uuid.UUID:
    flow = uuid.uuid4()
    begin = rows.unix_nano(start)
    root = Span(trace=flow, start=begin, end=begin + 10 * rows.MS, name=name, role=rows.FLOW)
    spans = [
        Span(trace=flow, start=begin + n, end=begin + n, name=checkpoint, parent=root.id, role=rows.CHECKPOINT,
             attributes={"otelgres.flow.name": name})
        for n, checkpoint in enumerate(checkpoints)
    ]  # fmt: skip
    rows.insert(connection, [*spans, *([root] if ended else [])])
    return flow


@pytest.mark.parametrize(
    ("passed", "ended", "missing", "cause"),
    [
        (("A", "B", "C"), True, None, None),
        (("A", "B", "C"), False, None, None),
        (("A", "C"), True, ["B"], "the broker is away"),
        (("A",), False, ["B", "C"], "the broker is away"),
        (("A", "B"), True, ["C"], "it stopped before C, after B"),
    ],
    ids=["all", "all, no end", "one between", "stopped", "the last"],
)
def test_what_is_missing_and_why(
    connection: Connection, ask: Ask, passed: tuple[str, ...], ended: bool, missing: list[str] | None, cause: str | None
) -> None:
    connection.execute(
        "INSERT INTO otel.flow_expectations VALUES ('tick', '{A,B,C}', %s)", [Jsonb({"B": "the broker is away"})]
    )
    flow = store(connection, "tick", *passed, ended=ended)
    found = ask("SELECT missing, likely_cause FROM otel.incomplete_flows WHERE flow_id = %s", flow)
    assert found == ([] if missing is None else [{"missing": missing, "likely_cause": cause}])


def test_without_expectations_the_root_decides(connection: Connection, ask: Ask) -> None:
    store(connection, "done", "A", ended=True)
    open_flow = store(connection, "open", "A", ended=False)
    (row,) = ask("SELECT * FROM otel.incomplete_flows")
    assert (row["flow_id"], row["missing"], row["expected"]) == (open_flow, [], None)
    assert row["likely_cause"] == "its root has not ended; last seen at A"


def alone(connection: Connection, *checkpoints: str, start: datetime | None = None, ms: int = 10) -> uuid.UUID:
    """A flow of checkpoints alone, ``ms`` apart, as events from elsewhere make it: no root, and nobody named it."""
    flow = uuid.uuid4()
    begin = rows.unix_nano(start or rows.NOON)
    rows.insert(
        connection,
        [
            Span(trace=flow, start=begin + n * ms * rows.MS, end=begin + n * ms * rows.MS, name=checkpoint,
                 parent=rows.span_id(10**9), role=rows.CHECKPOINT)
            for n, checkpoint in enumerate(checkpoints)
        ],
    )  # fmt: skip
    return flow


def test_flows_of_checkpoints_alone_need_expectations(connection: Connection, ask: Ask) -> None:
    alone(connection, "PUBLISHED", "DELIVERED")
    incomplete = alone(connection, "PUBLISHED")
    assert ask("SELECT * FROM otel.incomplete_flows") == [], "no root was ever promised"
    connection.execute("INSERT INTO otel.flow_expectations VALUES ('PUBLISHED', '{PUBLISHED,DELIVERED}')")
    (row,) = ask("SELECT flow_id, missing FROM otel.incomplete_flows")
    assert (row["flow_id"], row["missing"]) == (incomplete, ["DELIVERED"])


def test_the_alert_says_what_is_missing(connection: Connection, ask: Ask) -> None:
    begin = datetime.now(UTC) - timedelta(minutes=10)
    alone(connection, "PUBLISHED", "DELIVERED", start=begin)
    alone(connection, "PUBLISHED", start=begin)
    connection.execute("INSERT INTO otel.flow_expectations VALUES ('PUBLISHED', '{PUBLISHED,DELIVERED}')")
    (row,) = ask("SELECT subject, value, summary FROM otel.alert_incomplete_flows() WHERE firing")
    assert (row["subject"], row["value"]) == ("PUBLISHED", 1)
    assert row["summary"] == "1 flows PUBLISHED have not passed DELIVERED, most stopped after PUBLISHED"


def test_what_an_application_expects_comes_first(connection: Connection, ask: Ask) -> None:
    connection.execute(
        "INSERT INTO otel.flow_expectations VALUES ('tick', '{OLD}', '{}'), ('mine', '{A,B}', '{\"A\": \"why\"}')"
    )
    for ago, named in ((7200, ["X"]), (60, ["A", "B"])):
        record(connection, "otelgres.integration", ago, {"B": "nobody is connected"}, event_type="expected_checkpoints",
             **{"otelgres.flow.name": "tick", "otelgres.expected.checkpoints": named})  # fmt: skip
    record(connection, "otelgres.integration", 1, "nonsense", event_type="expected_checkpoints",
         **{"otelgres.flow.name": "unusual", "otelgres.expected.checkpoints": "A"})  # fmt: skip
    found = {row["flow_name"]: row for row in ask("SELECT * FROM otel.expected_checkpoints")}
    assert (found["tick"]["checkpoints"], found["tick"]["declared_by"]) == (["A", "B"], "shop")
    assert (found["mine"]["checkpoints"], found["mine"]["declared_by"]) == (["A", "B"], None)
    assert (found["unusual"]["checkpoints"], found["unusual"]["causes"]) == ([], {})
    store(connection, "tick", "A", ended=True)
    (row,) = ask("SELECT missing, likely_cause FROM otel.incomplete_flows WHERE name = 'tick'")
    assert (row["missing"], row["likely_cause"]) == (["B"], "nobody is connected")


def test_latency_by_day(connection: Connection, ask: Ask) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=1, microsecond=0)
    yesterday = today - timedelta(days=1)
    for ms in (10, 20, 30):
        alone(connection, "PUBLISHED", "RECEIVED", "DELIVERED", start=yesterday, ms=ms)
    alone(connection, "PUBLISHED", start=today)
    old, new = ask("SELECT * FROM compat.pattern_latency_trends ORDER BY day")
    assert (old["day"], old["first_checkpoint"], old["flows"]) == (yesterday.replace(second=0), "PUBLISHED", 3)
    assert (old["p50_latency_ms"], old["max_latency_ms"], old["avg_checkpoints"]) == (40, 60, 3)
    assert (new["flows"], new["max_latency_ms"]) == (1, 0)
    store(connection, "order", ended=True, start=yesterday)
    (flow,) = ask("SELECT * FROM otel.flow_trends WHERE name = 'order'")
    assert flow["day"] == yesterday.replace(second=0)
    assert (flow["flows"], flow["failed"], flow["avg_ms"], flow["max_ms"]) == (1, 0, 10, 10)
    assert flow["p99_ms"] == pytest.approx(10, rel=0.2)


@pytest.mark.parametrize(
    ("relation", "table"), [("otel.flow_trends", "span_stats"), ("compat.pattern_latency_trends", "flow_parts")]
)
def test_a_day_of_trends_reads_no_other_days(connection: Connection, ask: Ask, relation: str, table: str) -> None:
    for days in (0, 30):
        start = datetime.now(UTC) - timedelta(days=days)
        alone(connection, "A", start=start)
        store(connection, "order", ended=True, start=start)
    connection.execute("SET enable_seqscan = off")
    plan = "\n".join(
        row["QUERY PLAN"]
        for row in ask(
            f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT * FROM {relation} WHERE day > now() - interval '2 days'"
        )
    )
    scans = [line.strip() for line in plan.splitlines() if f"on {table}_" in line and "never executed" not in line]
    # PostgreSQL 16 goes by a bitmap of the index: another scan, of the index itself, that is not one of another day.
    scans = [line for line in scans if not line.startswith("->  Bitmap Index Scan")]
    # span_stats lies by the day; flow_parts lies by the week and has an index on the time.
    assert scans, plan
    assert {line.split()[1] for line in scans} <= {"Index", "Bitmap"}, plan
    assert table == "flow_parts" or len(scans) == 1, plan


def record(connection: Connection, event: str, seconds_ago: float, body: Any = None, **attributes: Any) -> None:
    rows.put(
        connection, "logs", time=datetime.now(UTC) - timedelta(seconds=seconds_ago), time_unix_nano=1,
        observed_time_unix_nano=1, resource_id=rows.resource(connection, "shop"), scope_id=rows.scope(connection),
        severity_number=9, flags=0, dropped_attributes_count=0, event_name=event,
        body_value=None if body is None else Jsonb(body), attributes=Jsonb(attributes),
    )  # fmt: skip


def test_a_heartbeat_is_late_after_two_of_its_intervals(connection: Connection, ask: Ask) -> None:
    key = "otelgres.heartbeat.interval"
    record(connection, "otelgres.heartbeat", 500, {"events": 1}, source_system="fast", **{key: 5})
    record(connection, "otelgres.heartbeat", 8, {"events": 2}, source_system="fast", **{key: 5})
    record(connection, "otelgres.heartbeat", 100, source_system="slow", **{key: 60})
    record(connection, "otelgres.heartbeat", 130, **{key: "often"})
    found = {row["source_system"]: row for row in ask("SELECT * FROM otel.heartbeats")}
    assert {name: row["missed"] for name, row in found.items()} == {"fast": False, "slow": False, "shop": True}
    assert found["fast"]["stats"] == {"events": 2}
    assert found["shop"]["interval"] == timedelta(seconds=60)
    firing = ask("SELECT subject FROM otel.alert_missing_heartbeat() WHERE firing")
    assert firing == [{"subject": "shop"}]


@pytest.mark.parametrize("interval", ["NaN", "Infinity", "-Infinity", "1e300", -5, "", None, [1]])
def test_an_out_of_range_interval_does_not_fail_the_view(connection: Connection, ask: Ask, interval: Any) -> None:
    record(connection, "otelgres.heartbeat", 8, source_system="unusual", **{"otelgres.heartbeat.interval": interval})
    record(connection, "otelgres.heartbeat", 8, source_system="even")
    assert [row["source_system"] for row in ask("SELECT * FROM otel.heartbeats ORDER BY 1")] == ["even", "unusual"]
    assert len(ask("SELECT * FROM otel.alerts() WHERE rule = 'missing_heartbeat'")) >= 1


def test_a_subscription_is_confirmed_by_the_other_side(connection: Connection, ask: Ask) -> None:
    for ago, state in ((50, "active"), (40, "confirmed"), (10, "active")):
        record(connection, "otelgres.subscription", ago, channel="a", event_type=f"subscription_{state}")
    for ago, state in ((50, "active"), (40, "confirmed")):
        record(connection, "otelgres.subscription", ago, channel="b", event_type=f"subscription_{state}")
    found = {row["channel"]: row["confirmed"] for row in ask("SELECT * FROM otel.subscriptions")}
    assert found == {"a": False, "b": True}
