"""What is in flight, with and without the starts having been looked at: the same, whatever comes between."""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from tests.sql import rows
from tests.sql.conftest import Ask
from tests.sql.rows import Connection

NOW = datetime.now(UTC).replace(microsecond=0)
OPEN = "SELECT flow_id FROM otel.in_flight ORDER BY flow_id"


def began(connection: Connection, number: int, *, began_ago: timedelta, stored_ago: timedelta) -> uuid.UUID:
    trace = uuid.UUID(int=number + 1)
    at = NOW - began_ago
    rows.put(
        connection, "logs", time=at, time_unix_nano=rows.unix_nano(at), observed_time_unix_nano=0,
        resource_id=rows.resource(connection, "shop"), scope_id=rows.scope(connection), severity_number=9, flags=0,
        dropped_attributes_count=0, trace_id=trace, span_id=rows.span_id(1), event_name="otelgres.span.start",
        attributes=Jsonb({"otelgres.type": "flow", "otelgres.flow.name": "order", "otelgres.span.name": "order"}),
        received_at=NOW - stored_ago,
    )  # fmt: skip
    return trace


def ended(connection: Connection, trace: uuid.UUID, began_ago: timedelta) -> None:
    start = rows.unix_nano(NOW - began_ago)
    rows.insert(connection, [rows.Span(trace=trace, id=rows.span_id(1), start=start, end=start)])


def looked(connection: Connection) -> int:
    row = connection.execute("SELECT _otel.refresh_open_starts()").fetchone()
    assert row is not None
    return int(row[0])


def test_those_that_have_ended_are_not_looked_at_again(connection: Connection, ask: Ask) -> None:
    hour = timedelta(hours=1)
    traces = [began(connection, number, began_ago=hour, stored_ago=hour) for number in range(5)]
    for trace in traces[:3]:
        ended(connection, trace, hour)
    assert looked(connection) == 2
    assert [row["flow_id"] for row in ask(OPEN)] == traces[3:]
    ended(connection, traces[3], hour)
    assert [row["flow_id"] for row in ask(OPEN)] == traces[4:], "one that ends late is gone at once"
    assert looked(connection) == 1


def test_one_whose_record_is_dropped_goes_with_it(connection: Connection, ask: Ask) -> None:
    old = timedelta(days=40)
    began(connection, 1, began_ago=old, stored_ago=old)
    assert looked(connection) == 1
    connection.execute("SELECT _otel.drop_partitions('logs', %s)", [NOW - timedelta(days=30)])
    assert ask(OPEN) == []
    assert looked(connection) == 0


MINUTES = st.integers(0, 3000).map(lambda minutes: timedelta(minutes=minutes))
STARTS = st.lists(st.tuples(MINUTES, MINUTES, st.sampled_from(["before", "between", "never"])), max_size=8)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(starts=STARTS)
def test_reading_changes_no_state(
    connection: Connection, ask: Ask, starts: list[tuple[timedelta, timedelta, str]]
) -> None:
    connection.execute("TRUNCATE _otel.logs, _otel.spans, _otel.open_starts")
    connection.execute("UPDATE _otel.open_starts_checked SET until = '-infinity'")
    made = [
        (began(connection, number, began_ago=began_ago, stored_ago=min(began_ago, stored_ago)), began_ago, ended_at)
        for number, (began_ago, stored_ago, ended_at) in enumerate(starts)
    ]
    for moment in ("before", "between"):
        for trace, began_ago, ended_at in made:
            if ended_at == moment:
                ended(connection, trace, began_ago)
        seen = ask(OPEN)
        looked(connection)
        assert ask(OPEN) == seen
    assert [row["flow_id"] for row in ask(OPEN)] == [trace for trace, _, ended_at in made if ended_at == "never"]
