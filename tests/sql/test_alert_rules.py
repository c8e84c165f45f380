"""Each alert rule: quiet while all is well, firing when what it is about happens, and as its own table says."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest
from psycopg.types.json import Jsonb

from tests.sql import rows
from tests.sql.conftest import Ask
from tests.sql.rows import Connection, Span

Firing: TypeAlias = Callable[[str], dict[str, float]]


@pytest.fixture
def firing(ask: Ask) -> Firing:
    """What fires of a rule: subject to value."""

    def run(rule: str) -> dict[str, float]:
        found = ask(f"SELECT * FROM otel.alert_{rule}()")
        assert {row["rule"] for row in found} <= {rule}
        return {row["subject"]: row["value"] for row in found if row["firing"]}

    return run


def spans(
    connection: Connection,
    name: str,
    *,
    times: int = 1,
    errors: int = 0,
    ms: int = 5,
    ago: float = 30,
    kind: int = rows.SERVER,
    role: int | None = None,
    ended: bool = True,
) -> None:
    """Stores spans of one service that began ``ago`` seconds ago, each in a flow of its own."""
    start = rows.unix_nano(datetime.now(UTC) - timedelta(seconds=ago))
    rows.insert(
        connection,
        [
            Span(
                trace=uuid.uuid4(),
                start=start,
                end=start + ms * rows.MS,
                name=name,
                kind=kind,
                role=role,
                status=2 if number < errors else None,
                parent=None if ended else rows.span_id(10**9),
            )
            for number in range(times)
        ],
    )


def set_rule(connection: Connection, rule: str, subject: str, threshold: float, *, enabled: bool = True) -> None:
    connection.execute(
        'INSERT INTO _otel.alert_rules (rule, subject, threshold, "window", hold, severity, enabled) '
        "SELECT rule, %s, %s, \"window\", hold, 'warning', %s FROM _otel.alert_rules WHERE rule = %s AND subject = '' "
        "ON CONFLICT (rule, subject) DO UPDATE SET threshold = excluded.threshold, enabled = excluded.enabled",
        [subject, threshold, enabled, rule],
    )


def number(connection: Connection, host: str, name: str, value: float, *, ago: float = 0) -> None:
    connection.execute(
        "INSERT INTO _otel.receivers (id, host, pid, version, started_at, last_seen, numbers) "
        "VALUES (gen_random_uuid(), %s, 1, '1', now(), now() - make_interval(secs => %s), %s)",
        [host, ago, Jsonb([[name, {}, value]])],
    )


def record_loss(connection: Connection, effect: str, count: int) -> None:
    today = datetime.now(UTC)
    rows.make_partitions(connection, {today, today + timedelta(days=2)}, "losses")
    connection.execute(
        "INSERT INTO _otel.losses (count, effect, source, signal, reason) VALUES (%s, %s, 'rows', 'traces', 'why')",
        [count, effect],
    )


def test_a_service_that_fails(connection: Connection, firing: Firing) -> None:
    spans(connection, "GET /", times=30, errors=1)
    assert firing("error_rate") == {}
    spans(connection, "GET /", times=10, errors=10)
    assert firing("error_rate") == {"shop": pytest.approx(11 / 40)}
    set_rule(connection, "error_rate", "shop", 0.5)
    assert firing("error_rate") == {}
    set_rule(connection, "error_rate", "", 0.01)
    assert firing("error_rate") == {}, "the subject's own line holds"


def test_few_requests_say_nothing(connection: Connection, firing: Firing) -> None:
    spans(connection, "GET /", times=3, errors=3)
    spans(connection, "GET /", times=50, errors=50, ago=3600)
    assert firing("error_rate") == {}


def test_flows_that_fail_or_are_slow(connection: Connection, firing: Firing) -> None:
    spans(connection, "order", times=20, errors=10, role=rows.FLOW)
    spans(connection, "slow", times=20, ms=30_000, ago=60, role=rows.FLOW)
    assert firing("flow_error_rate") == {"order": 0.5}
    assert firing("flow_p95") == {"slow": pytest.approx(30_000, rel=0.1)}


def test_flows_that_do_not_end(connection: Connection, firing: Firing) -> None:
    spans(connection, "young", ended=False, ago=60)
    assert firing("incomplete_flows") == {}
    spans(connection, "old", times=2, ended=False, ago=600)
    spans(connection, "done", ago=600)
    assert firing("incomplete_flows") == {"old": 2}


def test_work_that_hangs(connection: Connection, firing: Firing) -> None:
    for name, ago in (("young", 60), ("old", 900)):
        rows.put(
            connection,
            "logs",
            time=datetime.now(UTC) - timedelta(seconds=ago),
            time_unix_nano=1,
            observed_time_unix_nano=1,
            resource_id=rows.resource(connection, "shop"),
            scope_id=rows.scope(connection),
            severity_number=0,
            flags=0,
            dropped_attributes_count=0,
            trace_id=uuid.uuid4(),
            span_id=rows.span_id(ago),
            event_name="otelgres.span.start",
            attributes=Jsonb({"otelgres.span.name": name, "otelgres.type": "phase"}),
        )
    assert firing("stalled_work") == {"old": pytest.approx(900, abs=30)}


def test_losses_and_no_repairs(connection: Connection, firing: Firing) -> None:
    record_loss(connection, "repaired", 5)
    assert firing("losses") == {}
    record_loss(connection, "dropped", 2)
    record_loss(connection, "refused", 1)
    assert firing("losses") == {"why": 3}


def test_a_spool_that_is_not_replayed(connection: Connection, firing: Firing) -> None:
    number(connection, "good", "otelgres_spool_age_seconds", 3)
    number(connection, "dead long ago", "otelgres_spool_age_seconds", 1000, ago=3600)
    assert firing("spool_age") == {}
    number(connection, "bad", "otelgres_spool_age_seconds", 301)
    assert firing("spool_age") == {"bad": 301}


def test_receivers_that_stop_reporting(connection: Connection, firing: Firing) -> None:
    number(connection, "here", "x", 1)
    number(connection, "taken away", "x", 1, ago=2 * 86400)
    number(connection, "gone", "x", 1, ago=90)
    number(connection, "replaced", "x", 1, ago=90)
    number(connection, "replaced", "x", 1)
    assert firing("receiver_silent") == {"gone": pytest.approx(90, abs=30)}


def test_partitions_that_run_out(connection: Connection, firing: Firing) -> None:
    today = datetime.now(UTC)
    rows.make_partitions(connection, {today, today + timedelta(days=1)}, "spans", "logs")
    rows.make_partitions(connection, {today + timedelta(days=2)}, "spans")
    assert firing("partitions_ahead") == {}
    set_rule(connection, "partitions_ahead", "", 2)
    assert firing("partitions_ahead") == {"logs": 1}


def test_room_that_is_used_up(connection: Connection, firing: Firing) -> None:
    rows.make_partitions(connection, {datetime.now(UTC)}, "spans")
    assert firing("disk_budget") == {}
    set_rule(connection, "disk_budget", "", 1000)
    assert [value > 1000 for value in firing("disk_budget").values()] == [True]


def test_all_rules_together_by_the_reader_of_views(connection: Connection, ask: Ask) -> None:
    record_loss(connection, "dropped", 2)
    number(connection, "gone", "x", 1, ago=90)
    first, second, *others = ask("SELECT * FROM otel.alerts()")
    assert [first["rule"], second["rule"]] == ["losses", "receiver_silent"]
    assert not any(row["firing"] for row in others)
    assert first["severity"] == "critical"
    assert first["runbook"] == "https://github.com/otelgres/otelgres/blob/main/docs/runbooks/losses.md"
    assert first["hold"] == timedelta(0)
    rules = {row["rule"] for row in ask("SELECT rule FROM _otel.alert_rules")}
    documented = {
        row["name"] for row in ask("SELECT substr(proname, 7) AS name FROM pg_proc WHERE proname LIKE 'alert\\_%%'")
    }
    assert documented - {"rule"} == rules
    for rule in rules:
        assert (Path(__file__).parents[2] / f"docs/runbooks/{rule.replace('_', '-')}.md").is_file()
    set_rule(connection, "losses", "", 0, enabled=False)
    assert [row["rule"] for row in ask("SELECT * FROM otel.alerts()") if row["firing"]] == ["receiver_silent"]
