"""Incomplete flows, what is missing and the likely cause; heartbeats and subscriptions, late and in time."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql import rows
from tests.sql.conftest import Ask
from tests.sql.rows import Connection, Span


def store(connection: Connection, name: str, *checkpoints: str, ended: bool) -> uuid.UUID:
    flow = uuid.uuid4()
    start = rows.unix_nano(rows.NOON)
    root = Span(trace=flow, start=start, end=start + 10 * rows.MS, name=name, role=rows.FLOW)
    spans = [
        Span(trace=flow, start=start + n, end=start + n, name=checkpoint, parent=root.id, role=rows.CHECKPOINT,
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


def tell(connection: Connection, event: str, seconds_ago: float, body: Any = None, **attributes: Any) -> None:
    rows.put(
        connection, "logs", time=datetime.now(UTC) - timedelta(seconds=seconds_ago), time_unix_nano=1,
        observed_time_unix_nano=1, resource_id=rows.resource(connection, "shop"), scope_id=rows.scope(connection),
        severity_number=9, flags=0, dropped_attributes_count=0, event_name=event,
        body_value=None if body is None else Jsonb(body), attributes=Jsonb(attributes),
    )  # fmt: skip


def test_a_heartbeat_is_late_after_two_of_its_intervals(connection: Connection, ask: Ask) -> None:
    key = "otelgres.heartbeat.interval"
    tell(connection, "otelgres.heartbeat", 500, {"events": 1}, source_system="fast", **{key: 5})
    tell(connection, "otelgres.heartbeat", 8, {"events": 2}, source_system="fast", **{key: 5})
    tell(connection, "otelgres.heartbeat", 100, source_system="slow", **{key: 60})
    tell(connection, "otelgres.heartbeat", 130, **{key: "often"})
    found = {row["source_system"]: row for row in ask("SELECT * FROM otel.heartbeats")}
    assert {name: row["missed"] for name, row in found.items()} == {"fast": False, "slow": False, "shop": True}
    assert found["fast"]["stats"] == {"events": 2}
    assert found["shop"]["interval"] == timedelta(seconds=60)
    firing = ask("SELECT subject FROM otel.alert_missing_heartbeat() WHERE firing")
    assert firing == [{"subject": "shop"}]


def test_a_subscription_is_confirmed_by_the_other_side(connection: Connection, ask: Ask) -> None:
    for ago, state in ((50, "active"), (40, "confirmed"), (10, "active")):
        tell(connection, "otelgres.subscription", ago, channel="a", event_type=f"subscription_{state}")
    for ago, state in ((50, "active"), (40, "confirmed")):
        tell(connection, "otelgres.subscription", ago, channel="b", event_type=f"subscription_{state}")
    found = {row["channel"]: row["confirmed"] for row in ask("SELECT * FROM otel.subscriptions")}
    assert found == {"a": False, "b": True}
