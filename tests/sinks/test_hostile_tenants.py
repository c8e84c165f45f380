"""Several tenants at once, each with the ids, times and names of the others: each sees what it sent, no more."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelgres.collector.embedded import Cluster
from otelgres.collector.embedded.logins import Login
from otelgres.collector.processors.tenant import with_tenant
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted
from otelgres.exporters.postgres.cardinality import CardinalityLimiter
from otelgres.exporters.postgres.codec.limits import Limits
from otelgres.exporters.postgres.writer import PostgresWriter
from tests import otlp_raw, postgres

TENANTS: Final = (None, "a", "b", "a longer name than every limit below")
LOGINS: Final = {"a": "hostile_a", "b": "hostile_b", TENANTS[3]: "hostile_c"}
# Below the length of the key tenant.id and of the names of tenants.
TIGHT: Final = Limits(attributes=2, key_bytes=5, value_bytes=4)
Connection = psycopg.Connection[Any]

# Few ids, times and names, so that all meet. `crowd`: attributes before the mark. `kind`: how the sender marks itself.
_item = st.fixed_dictionaries(
    {
        "tenant": st.sampled_from(TENANTS),
        "signal": st.sampled_from([*Signal]),
        "trace": st.integers(1, 2),
        "span": st.integers(1, 2),
        "at": st.integers(0, 1),
        "service": st.sampled_from(["shop", "depot", "bank"]),
        "crowd": st.sampled_from([0, 0, 3, 3000]),
        "mark": st.sampled_from(["none", "own", "twice", "cut"]),
        "starts": st.booleans(),
        "refused": st.booleans(),
    }
)
Item = dict[str, Any]


@pytest.fixture(scope="module")
def hostile(cluster: Cluster, migrated: str) -> Iterator[tuple[str, Connection]]:
    with (
        postgres.new_database(cluster, migrated) as dsn,
        psycopg.connect(postgres.as_login(dsn, Login.SUPERUSER), autocommit=True) as connection,
    ):
        connection.execute("SET timezone = 'UTC'")
        for tenant, login in LOGINS.items():
            connection.execute(f"CREATE ROLE {login} LOGIN IN ROLE otelgres_tenant".encode())
            connection.execute("INSERT INTO _otel.tenants VALUES (%s, %s)", [login, tenant])
        yield dsn, connection
        connection.execute(f"DROP ROLE {', '.join(LOGINS.values())}".encode())


def _batch(item: Item, now: int) -> Batch:
    tenant, signal = item["tenant"], item["signal"]
    request = otlp_raw.REQUESTS[signal]()
    group = otlp_raw.resources(request).add()
    for number in range(item["crowd"]):
        group.resource.attributes.append(otlp_raw.attribute(f"x{number}", number))
    group.resource.attributes.append(otlp_raw.attribute("service.name", item["service"]))
    if tenant is not None:
        marks = {"none": [], "own": ["tenant.id"], "twice": ["tenant.id"] * 2, "cut": []}[item["mark"]]
        group.resource.attributes.extend([otlp_raw.attribute(key, tenant) for key in marks])
        if item["mark"] == "cut":
            # What a limit on keys would make of it.
            group.resource.attributes.append(otlp_raw.attribute("tenant.id and more", "b"))
    at = now + item["at"] * 1_000_000_000
    trace, span = item["trace"].to_bytes(16), item["span"].to_bytes(8)
    name = f"{tenant}".encode()
    if signal is Signal.TRACES:
        spans = group.scope_spans.add().spans
        spans.add(trace_id=trace, span_id=span, name=name, start_time_unix_nano=at, end_time_unix_nano=at + 1)
        if item["refused"]:
            spans.add(trace_id=b"short", span_id=span, name=name, start_time_unix_nano=at)
    elif signal is Signal.LOGS:
        record = group.scope_logs.add().log_records.add(time_unix_nano=at, trace_id=trace, span_id=span)
        record.attributes.append(otlp_raw.attribute("log.record.uid", f"{item['trace']:032x}"))
        record.attributes.append(otlp_raw.attribute("by", f"{tenant}"))
        if item["starts"]:
            record.event_name = b"otelgres.span.start"
            record.attributes.append(otlp_raw.attribute("otelgres.type", "flow"))
            record.attributes.append(otlp_raw.attribute("otelgres.flow.name", f"flow of {tenant}"))
    else:
        metric = group.scope_metrics.add().metrics.add(name=b"m")
        metric.gauge.data_points.add(time_unix_nano=at, as_int=1)
        if item["refused"]:
            metric.gauge.data_points.add(time_unix_nano=0, as_int=1)
    batch = otlp_raw.batch(request)
    return batch if tenant is None else with_tenant(batch, tenant)


def _ask(connection: Connection, login: str | None, query: str) -> list[tuple[Any, ...]]:
    if login is None:
        return connection.execute(query.encode()).fetchall()
    connection.execute(f"SET SESSION AUTHORIZATION {login}".encode())
    try:
        return connection.execute(query.replace("otel.", "otel_tenant.").encode()).fetchall()
    finally:
        connection.execute("RESET SESSION AUTHORIZATION")


COUNTS: Final = (
    "SELECT (SELECT count(*) FROM otel.spans), (SELECT count(*) FROM otel.logs), "
    "(SELECT count(*) FROM otel.span_starts), "
    "(SELECT count(*) FROM otel.span_starts WHERE open), "
    "(SELECT count(*) FROM otel.metric_points), (SELECT coalesce(sum(count), 0)::int FROM otel.losses), "
    "(SELECT coalesce(sum(count), 0)::int FROM otel.span_stats), "
    "(SELECT coalesce(sum(count), 0)::int FROM otel.hour_stats), "
    "(SELECT coalesce(sum(count), 0)::int FROM otel.service_stats), (SELECT count(*) FROM otel.in_flight)"
)
SPANS: Final = (
    "SELECT name, right(trace_id, 1)::int, right(span_id, 1)::int, extract(epoch FROM start_time)::bigint "
    "FROM otel.spans"
)
FLOWS: Final = "SELECT right(trace_id, 1)::int, span_count::int FROM otel.flows WHERE span_count > 0"


@given(st.lists(_item, min_size=1, max_size=12), st.booleans())
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_sees_what_it_sent_and_the_sum_is_the_whole(
    hostile: tuple[str, Connection], items: list[Item], limited: bool
) -> None:
    dsn, connection = hostile
    connection.execute(
        "TRUNCATE _otel.spans, _otel.logs, _otel.number_points, _otel.losses, _otel.flow_parts, _otel.span_stats, "
        "_otel.digests, _otel.open_starts, _otel.hour_stats, _otel.service_stats, _otel.resources, _otel.series, "
        "_otel.scopes, _otel.metrics, _otel.rollup_hours_changed, _otel.rollup_hours_in_progress"
    )
    connection.execute("UPDATE _otel.open_starts_checked SET until = '-infinity'")
    guard = CardinalityLimiter(series=1, resources=1, clock=lambda: 0.0) if limited else None
    writer = PostgresWriter(dsn, limits=TIGHT if limited else None, guard=guard)
    row = connection.execute("SELECT extract(epoch FROM date_trunc('hour', now()))::bigint").fetchone()
    assert row is not None
    now = row[0] * 1_000_000_000
    try:
        half = len(items) // 2
        for group in (items[:half], items[half:]):
            assert all(isinstance(one, Accepted) for one in writer.write([_batch(item, now) for item in group]))
    finally:
        writer.close()

    sent: dict[str | None, set[tuple[Any, ...]]] = {tenant: set() for tenant in TENANTS}
    records: Counter[str | None] = Counter()
    # Without the attribute log.record.uid, whose name is cut, only the same request again is recognised.
    for tenant, *_ in {
        (i["tenant"], _batch(i, now).payload if limited else (i["trace"], i["at"]))
        for i in items
        if i["signal"] is Signal.LOGS
    }:
        records[tenant] += 1
    for item in items:
        if item["signal"] is Signal.TRACES:
            span = (str(item["tenant"]), item["trace"], item["span"], now // 1_000_000_000 + item["at"])
            sent[item["tenant"]].add(span)

    # What was refused, and in log records the key of the uid, which is longer than the limit.
    lost: Counter[tuple[Any, ...]] = Counter()
    for tenant, signal, _ in {(i["tenant"], i["signal"], _batch(i, now).payload) for i in items if i["refused"]}:
        if signal is not Signal.LOGS:
            lost[tenant, "refused"] += 1
    for tenant, _ in {(i["tenant"], _batch(i, now).payload) for i in items if i["signal"] is Signal.LOGS}:
        lost[tenant, "key_cut"] += limited
    counted = connection.execute(
        "SELECT tenant, CASE effect WHEN 'refused' THEN effect ELSE reason END, sum(count)::int FROM otel.losses "
        "WHERE effect = 'refused' OR reason = 'key_cut' AND signal = 'logs' GROUP BY 1, 2"
    ).fetchall()
    assert {(tenant, what): count for tenant, what, count in counted} == +lost

    def check() -> None:
        whole = _ask(connection, None, COUNTS)[0]
        unmarked = _ask(connection, None, UNTENANTED)[0]
        own = {tenant: _ask(connection, login, COUNTS)[0] for tenant, login in LOGINS.items()}
        assert whole == tuple(map(sum, zip(unmarked, *own.values(), strict=True)))
        for tenant, login in LOGINS.items():
            assert set(_ask(connection, login, SPANS)) == sent[tenant]
            assert own[tenant][0] == len(sent[tenant])
            assert own[tenant][1] + own[tenant][2] == records[tenant]
            flows = Counter(trace for _, trace, *_ in sent[tenant])
            assert dict(_ask(connection, login, FLOWS)) == flows
            ended = {(trace, span, at) for _, trace, span, at in sent[tenant]}
            started = _ask(
                connection,
                login,
                "SELECT right(trace_id, 1)::int, right(span_id, 1)::int, extract(epoch FROM start_time)::bigint "
                "FROM otel.in_flight",
            )
            assert not ended & set(started)
            assert own[tenant][9] == own[tenant][3]
        assert {(span[1:], span[0]) for span in _ask(connection, None, SPANS)} == {
            (span[1:], span[0]) for spans in sent.values() for span in spans
        }
        assert dict(_ask(connection, None, FLOWS)) == Counter(
            trace for spans in sent.values() for _, trace, *_ in spans
        )

    check()
    for _ in range(2):  # the second looks again at those found open
        connection.execute("SELECT _otel.refresh_open_starts('0'), _otel.add_started_flows('2 hours')")
    for hour, taken in connection.execute("SELECT hour, taken FROM _otel.hours_to_roll_up('infinity')").fetchall():
        assert connection.execute("SELECT _otel.roll_up_hour(%s, %s)", [hour, taken]).fetchone() == (True,)
    check()


# The same counts for what has no tenant.
UNTENANTED: Final = (
    "SELECT (SELECT count(*) FROM _otel.spans WHERE tenant_id = 0), "
    "(SELECT count(*) FROM otel.logs WHERE NOT resource_attributes ? 'tenant.id'), "
    "(SELECT count(*) FROM otel.span_starts WHERE NOT resource_attributes ? 'tenant.id'), "
    "(SELECT count(*) FROM otel.span_starts WHERE open AND NOT resource_attributes ? 'tenant.id'), "
    "(SELECT count(*) FROM otel.metric_points WHERE NOT resource_attributes ? 'tenant.id'), "
    "(SELECT coalesce(sum(count), 0)::int FROM otel.losses WHERE tenant IS NULL), "
    "(SELECT count(*) FROM _otel.spans WHERE tenant_id = 0), (SELECT count(*) FROM _otel.spans WHERE tenant_id = 0), "
    "(SELECT count(*) FROM _otel.spans WHERE tenant_id = 0), "
    "(SELECT count(*) FROM otel.in_flight WHERE NOT resource_attributes ? 'tenant.id')"
)
