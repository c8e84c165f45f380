"""Flows that began and sent no span: entered among the flows, once, and completed by spans that come after all."""

import threading
import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.sql import rows
from tests.sql.conftest import Ask
from tests.sql.rows import Connection

TRACE = uuid.uuid5(uuid.NAMESPACE_URL, "flow")
BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)


def began(connection: Connection, trace: uuid.UUID = TRACE, at: datetime = BEGIN, kind: str = "flow") -> None:
    rows.put(
        connection, "logs", time=at, time_unix_nano=rows.unix_nano(at), observed_time_unix_nano=0,
        resource_id=rows.resource(connection, "shop"), scope_id=rows.scope(connection), severity_number=9, flags=0,
        dropped_attributes_count=0, trace_id=trace, span_id=rows.span_id(1), event_name="otelgres.span.start",
        attributes=Jsonb({"otelgres.type": kind, "otelgres.flow.name": "order", "otelgres.span.name": "order"}),
    )  # fmt: skip


def adopted(connection: Connection) -> int:
    row = connection.execute("SELECT _otel.add_started_flows()").fetchone()
    assert row is not None
    return int(row[0])


def test_a_flow_without_a_span_is_entered_once(connection: Connection, ask: Ask) -> None:
    began(connection)
    assert ask("SELECT * FROM otel.flows") == []
    assert [adopted(connection), adopted(connection)] == [1, 0]
    (flow,) = ask("SELECT * FROM otel.flows")
    assert (flow["flow_id"], flow["name"], flow["span_count"], flow["complete"]) == (TRACE, "order", 0, False)
    assert (flow["start_time"], flow["services"]) == (BEGIN, ["shop"])
    (run,) = ask("SELECT * FROM compat.execution_summary")
    assert (run["execution_id"], run["name"], run["state"]) == (TRACE, "order", "running")


def test_spans_that_come_after_all_complete_it(connection: Connection, ask: Ask) -> None:
    began(connection)
    adopted(connection)
    start = rows.unix_nano(BEGIN)
    root = rows.Span(
        trace=TRACE, id=rows.span_id(1), start=start, end=start + 9000 * rows.MS, role=rows.FLOW, name="order",
        service="depot", attributes={"otelgres.flow.name": "order"},
    )  # fmt: skip
    rows.insert(connection, [root])
    (flow,) = ask("SELECT * FROM otel.flows")
    assert (flow["span_count"], flow["complete"], flow["duration_ms"]) == (1, True, 9000)
    assert flow["services"] == ["depot", "shop"]
    assert adopted(connection) == 0


@pytest.mark.parametrize("what", ["phase", "young", "old", "known"])
def test_others_are_left_alone(connection: Connection, what: str) -> None:
    at = {"young": datetime.now(UTC), "old": BEGIN - timedelta(hours=2)}.get(what, BEGIN)
    began(connection, at=at, kind="phase" if what == "phase" else "flow")
    if what == "known":
        start = rows.unix_nano(BEGIN)
        rows.insert(connection, [rows.Span(trace=TRACE, start=start, end=start, parent=rows.span_id(1))])
    assert adopted(connection) == 0


def test_beside_writers_of_the_same_flows_nothing_is_counted_twice(
    database: str, connection: Connection, ask: Ask
) -> None:
    traces = [uuid.uuid5(uuid.NAMESPACE_URL, str(number)) for number in range(200)]
    start = rows.unix_nano(BEGIN)
    for trace in traces:
        began(connection, trace)
    spans = [
        rows.Span(trace=trace, start=start, end=start, attributes={"otelgres.flow.name": "order"}) for trace in traces
    ]
    together = threading.Barrier(2)

    def adopt() -> None:
        with psycopg.connect(database, autocommit=True) as other:
            together.wait(20)
            adopted(other)

    thread = threading.Thread(target=adopt)
    thread.start()
    rows.make_partitions(connection, [BEGIN], *rows.SPAN_TABLES)
    together.wait(20)
    rows.insert(connection, spans)
    thread.join(20)
    assert ask("SELECT count(*) AS flows, sum(span_count)::int AS spans FROM otel.flows") == [
        {"flows": 200, "spans": 200}
    ]
