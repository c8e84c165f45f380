"""The delivery contract, on a real database: once, however often it is sent, and whatever becomes of the database."""

import hashlib
import itertools
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from otelgres.collector.embedded import Cluster, Login
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted, Invalid, Outcome, Unavailable
from otelgres.exporters.postgres.digests import digest_days
from otelgres.exporters.postgres.writer import Committed, PostgresWriter
from tests import otlp_raw as raw
from tests import postgres
from tests.sinks.sent import NOW, Connection, batch, losses, names, point, record, span, value

# Once, however often it is sent.


def test_a_request_twice_in_one_group_and_in_two_is_stored_once(writer: PostgresWriter, reader: Connection) -> None:
    one = batch(record("no uid"))
    assert writer.write([one, one]) == [Accepted(), Accepted()]
    assert writer.write([one]) == [Accepted()]
    another = PostgresWriter(writer._dsn)
    assert another.write([batch(record("other")), one]) == [Accepted(), Accepted()]
    another.close()
    assert value(reader, "SELECT count(*) FROM _otel.logs") == 2
    assert losses(reader) == {}


def test_a_refused_request_twice_in_one_group_is_refused_twice(writer: PostgresWriter) -> None:
    damaged = Batch(Signal.TRACES, b"\xff")
    first, second = writer.write([damaged, damaged])
    assert isinstance(first, Invalid)
    assert first == second


def test_an_empty_request_is_accepted(writer: PostgresWriter, reader: Connection) -> None:
    nothing = [Batch(signal, b"") for signal in Signal]
    assert writer.write(nothing) == [Accepted()] * 3
    envelope = raw.TracesRequest()
    envelope.resource_spans.add().scope_spans.add()
    assert writer.write([raw.batch(envelope)]) == [Accepted()]
    assert writer.write([]) == []


def test_regrouped_items_are_stored_once_and_counted_once(database: str, reader: Connection) -> None:
    commits: list[Committed] = []
    writer = PostgresWriter(database, on_commit=commits.append)
    root = span("root", trace_id=b"\1" * 16)
    child = span("child", trace_id=b"\1" * 16, parent_span_id=root.span_id, status=raw.Status(code=2))
    line, other = record("line", uid="a"), record("other", uid="b")
    first, second = point(NOW), point(NOW + 10)
    writer.write([batch(root), batch(line), batch(first)])
    # As a Collector in between would send them again: with others, in requests of other bytes.
    outcomes = writer.write([batch(child, root), batch(other, line), batch(second, first)])
    writer.close()
    assert outcomes == [Accepted()] * 3
    assert names(reader) == ["child", "root"]
    assert value(reader, "SELECT count(*) FROM _otel.logs") == 2
    assert value(reader, "SELECT count(*) FROM _otel.number_points") == 2
    assert losses(reader) == {}
    assert commits[-1].duplicate_rows == 3
    flow = reader.execute("SELECT span_count, error_count, root_name FROM _otel.flow_parts").fetchall()
    assert flow == [(2, 1, "root")]
    assert value(reader, "SELECT sum(count) FROM _otel.span_stats") == 2


def test_a_span_twice_in_one_request_is_stored_once(writer: PostgresWriter, reader: Connection) -> None:
    twice = span("twice")
    assert writer.write([batch(twice, span("once"), twice)]) == [Accepted()]
    assert names(reader) == ["once", "twice"]
    assert losses(reader) == {}
    assert value(reader, "SELECT sum(span_count) FROM _otel.flow_parts") == 2


def test_a_stored_key_with_other_content_is_a_loss(writer: PostgresWriter, reader: Connection) -> None:
    key = {"trace_id": b"\1" * 16, "span_id": b"\2" * 8}
    writer.write([batch(span("old", **key)), batch(record("old", uid="a")), batch(point(NOW, 1))])
    outcomes = writer.write([batch(span("new", **key)), batch(record("new", uid="a")), batch(point(NOW, 2))])
    assert outcomes == [Accepted()] * 3
    assert names(reader) == ["old"]
    assert losses(reader) == {
        ("dropped", table, "same_key_other_content"): 1 for table in ("spans", "logs", "number_points")
    }


def test_an_empty_body_is_the_same_as_itself(writer: PostgresWriter, reader: Connection) -> None:
    empty = record("", uid="a")
    empty.body.CopyFrom(raw.AnyValue())
    assert writer.write([batch(empty)]) == [Accepted()]
    assert writer.write([batch(empty, record("other"))]) == [Accepted()]
    assert value(reader, "SELECT count(*) FROM _otel.logs") == 2
    assert losses(reader) == {}


@pytest.mark.parametrize("uid", ["", None])
def test_an_empty_uid_makes_nothing_a_duplicate(writer: PostgresWriter, reader: Connection, uid: str | None) -> None:
    def lines() -> Iterator[Any]:
        for body in "ab":
            one = record(body, uid="")
            if uid is None:
                one.attributes[0].ClearField("value")
            yield one

    writer.write([batch(*lines())])
    assert value(reader, "SELECT count(*) FROM _otel.logs WHERE uid IS NULL") == 2


def test_two_writers_with_the_same_requests_store_them_once(database: str, reader: Connection) -> None:
    spans = [[span(f"{number} {place}") for place in range(20)] for number in range(8)]
    same = [batch(*items) for items in spans]
    regrouped = [batch(*(items[place] for items in spans)) for place in range(20)]
    outcomes: dict[int, list[Outcome]] = {}
    start = threading.Barrier(3)

    def run(number: int, groups: list[list[Batch]]) -> None:
        writer = PostgresWriter(database)
        start.wait(30)
        outcomes[number] = [outcome for group in groups for outcome in writer.write(group)]
        writer.close()

    groups = [[[one] for one in same], [same], [[one] for one in regrouped]]
    threads = [threading.Thread(target=run, args=(number, group)) for number, group in enumerate(groups)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {number: set(found) for number, found in outcomes.items()} == {number: {Accepted()} for number in range(3)}
    assert value(reader, "SELECT count(*) FROM _otel.spans") == 160
    assert value(reader, "SELECT sum(span_count) FROM _otel.flow_parts") == 160
    assert value(reader, "SELECT sum(count) FROM _otel.span_stats") == 160
    assert losses(reader) == {}


def test_a_group_that_another_receiver_stores_one_by_one_is_stored(
    database: str, writer: PostgresWriter, reader: Connection
) -> None:
    writer.write([batch(record("the partitions are there"))])
    batches = [batch(record(f"{number}")) for number in range(12)]
    # Rows do not matter here, only that their digests are committed one after the other while ours waits for each.
    left = iter(sorted(hashlib.sha256(b"logs\0" + one.payload).digest()[:16] for one in batches))
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.extend(writer.write(batches)))
    enter = (
        b"INSERT INTO _otel.digests (digest, day) VALUES (%s, (now() AT TIME ZONE 'UTC')::date) ON CONFLICT DO NOTHING"
    )
    with psycopg.connect(database) as one, psycopg.connect(database) as other:
        sessions = {session.info.backend_pid: session for session in (one, other)}
        for session in sessions.values():
            session.execute(enter, [UUID(bytes=next(left))])
        thread.start()
        while blocker := _awaited(reader, list(sessions), thread):
            sessions[blocker].commit()
            for digest in itertools.islice(left, 1):
                sessions[blocker].execute(enter, [UUID(bytes=digest)])
    thread.join(60)
    assert outcomes == [Accepted()] * 12


def _awaited(connection: Connection, pids: list[int], thread: threading.Thread) -> int:
    """Which of these sessions the writer waits for; 0 once it is done."""
    query = (
        "SELECT coalesce(min(blocker), 0) FROM pg_stat_activity, unnest(pg_blocking_pids(pid)) blocker "
        "WHERE application_name = 'otelgres writer' AND datname = current_database() AND blocker = ANY (%s)"
    )
    deadline = time.monotonic() + 30
    while thread.is_alive():
        blocker: int = value(connection, query, pids)
        if blocker:
            return blocker
        assert time.monotonic() < deadline
        thread.join(0.01)
    return 0


def test_a_request_is_entered_under_both_days_around_midnight() -> None:
    def days(text: str) -> list[str]:
        numbers = sorted(digest_days(datetime.fromisoformat(text).replace(tzinfo=UTC)))
        return [datetime.fromtimestamp(number * 86_400, UTC).date().isoformat() for number in numbers]

    assert days("2026-11-22 23:59:59.999999") == ["2026-11-22"]
    assert days("2026-11-23 00:00:00") == ["2026-11-22", "2026-11-23"]
    assert days("2026-11-23 00:59:59.999999") == ["2026-11-22", "2026-11-23"]
    assert days("2026-11-23 01:00:00") == ["2026-11-23"]
    assert days("2027-01-01 00:30:00") == ["2026-12-31", "2027-01-01"]


def test_a_retry_after_midnight_meets_its_digest(writer: PostgresWriter, reader: Connection) -> None:
    one = batch(record("before midnight"))
    writer.write([one])
    reader.execute("SELECT _otel.make_partition('digests', now() - interval '1 day')")
    reader.execute("UPDATE _otel.digests SET day = day - 1")
    assert writer.write([one]) == [Accepted()]
    assert value(reader, "SELECT count(*) FROM _otel.logs") == 1


# The database goes away, changes, or is another one.


def test_a_cut_connection_is_opened_anew(database: str, writer: PostgresWriter, reader: Connection) -> None:
    assert writer.write([batch(span("a"))]) == [Accepted()]
    with psycopg.connect(postgres.as_login(database, Login.SUPERUSER)) as admin:
        cut = admin.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE application_name = 'otelgres writer' AND datname = current_database()"
        )
        assert cut.fetchall() == [(True,)]
    assert writer.write([batch(span("b"))]) == [Accepted()]
    assert names(reader) == ["a", "b"]


def test_an_unreachable_database_makes_requests_retryable() -> None:
    writer = PostgresWriter("host=127.0.0.1 port=1 connect_timeout=2")
    first, second, third = writer.write([batch(span("a")), Batch(Signal.LOGS, b""), Batch(Signal.LOGS, b"\xff")])
    assert isinstance(first, Unavailable)
    assert first.retry_after > 0
    assert second == Accepted()
    assert isinstance(third, Unavailable | Invalid)
    assert not writer.probe()


def test_a_partition_that_was_dropped_is_made_again(writer: PostgresWriter, reader: Connection) -> None:
    writer.write([batch(span("a"), span("b")), batch(record("a")), batch(point(NOW))])
    partitions = [
        row[0]
        for row in reader.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent::regclass::text = ANY (%s)",
            [[f"_otel.{name}" for name in ("spans", "flow_parts", "span_stats", "logs", "number_points", "digests")]],
        )
    ]
    assert len(partitions) >= 6
    for name in partitions:
        reader.execute(f"DROP TABLE {name}".encode())
        outcomes = writer.write([batch(span(name)), batch(record(name)), batch(point(NOW, partitions.index(name)))])
        assert outcomes == [Accepted()] * 3, name
    assert set(names(reader)) <= {*partitions, "a", "b"}
    assert partitions[-1] in names(reader)


def test_another_database_at_the_same_address_gets_ids_of_its_own(cluster: Cluster, migrated: str) -> None:
    with postgres.new_database(cluster, migrated) as dsn:
        name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
        writer = PostgresWriter(dsn)
        writer.write([batch(span("a"), service=f"old {number}") for number in range(3)])
        writer.write([batch(point(NOW), service="old 2")])
        with psycopg.connect(cluster.dsn(Login.SUPERUSER, "postgres"), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
            # A copy has the same identity, as one restored from a backup has.
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {migrated}".encode())
        assert writer.write([batch(span("b"), service="old 2"), batch(point(NOW), service="old 2")]) == [Accepted()] * 2
        writer.close()
        with psycopg.connect(dsn) as reader:
            services = "SELECT service_name FROM _otel.resources r JOIN _otel.{} ON resource_id = r.id"
            assert value(reader, services.format("spans")) == "old 2"
            assert value(reader, services.format("series")) == "old 2"


def test_columns_are_named_so_their_order_in_the_table_does_not_matter(
    writer: PostgresWriter, reader: Connection
) -> None:
    reader.execute("ALTER TABLE _otel.spans DROP COLUMN flags CASCADE, DROP COLUMN kind CASCADE")
    reader.execute("ALTER TABLE _otel.spans ADD COLUMN kind integer NOT NULL, ADD COLUMN flags bigint NOT NULL")
    writer.write([batch(span("a", kind=2, flags=256))])
    writer.write([batch(span("b", kind=3, flags=257), span("b", kind=3, flags=257))])
    rows = reader.execute("SELECT kind, flags FROM _otel.spans ORDER BY name, kind").fetchall()
    assert rows == [(2, 256), (3, 257), (3, 257)]


def test_commits_are_synchronous_even_if_the_server_is_set_otherwise(database: str, reader: Connection) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    reader.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
    writer = PostgresWriter(database)
    connection = writer._connected()
    assert value(connection, "SHOW synchronous_commit") == "on"
    writer.close()


def test_text_is_utf8_whatever_the_environment_says(
    database: str, reader: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    writer = PostgresWriter(database)
    assert writer.write([batch(span("ключ 🜁"), service="größer")]) == [Accepted()]
    writer.close()
    assert names(reader) == ["ключ 🜁"]
    assert value(reader, "SELECT service_name FROM _otel.resources") == "größer"
