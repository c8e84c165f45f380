"""Nobody but a writer or the owner can hold a writer up: readers, tenants and strangers take every lock that they can.

The hostile session tries each lock of each relation, row locks, and advisory locks, reads every view, and leaves its
transaction open.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from otelgres.collector.database.maintenance import roll_up_hours
from otelgres.collector.embedded import Cluster
from otelgres.exporters.postgres.partitions import drop_expired
from otelgres.sql.migrate import SchemaError, migrate
from otelgres.sql.queries import query
from tests import postgres
from tests.sql import rows
from tests.sql.logins import logins
from tests.waiting import until

MODES = (
    "ACCESS EXCLUSIVE", "EXCLUSIVE", "SHARE ROW EXCLUSIVE", "SHARE", "SHARE UPDATE EXCLUSIVE", "ROW EXCLUSIVE",
    "ROW SHARE", "ACCESS SHARE",
)  # fmt: skip
OURS = "nspname IN ('_otel', 'otel', 'compat', 'otel_tenant')"
# Whatever is waited for longer than this counts as held up.
PATIENCE = "2s"
LOCKS = "SELECT count(*) FROM pg_locks WHERE pid = %s AND locktype = 'relation' AND mode <> 'AccessShareLock'"


@pytest.fixture(scope="module")
def prepared(cluster: Cluster, migrated: str) -> Iterator[str]:
    with postgres.new_database(cluster, migrated) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("SELECT compat.make_logs_view('walls')")
            insert(connection, timedelta())
            insert(connection, timedelta(days=20))
        yield dsn


@pytest.fixture(scope="module")
def dsns(prepared: str) -> Iterator[dict[str, str]]:
    with logins(prepared) as found:
        yield found


@pytest.fixture(params=["reader", "tenant", "stranger"])
def hostile(request: pytest.FixtureRequest, dsns: dict[str, str], prepared: str) -> Iterator[psycopg.Connection]:
    """A session that holds all that it can hold."""
    with psycopg.connect(prepared) as owner:
        relations = owner.execute(
            "SELECT format('%I.%I', n.nspname, c.relname), c.relkind FROM pg_class c "
            f"JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS} AND c.relkind IN ('r', 'p', 'v')".encode()
        ).fetchall()
        # The names that locks of earlier versions were made from, and all small numbers.
        keys = owner.execute(
            "SELECT hashtext('_otel.' || n) "
            "FROM unnest(ARRAY['flow_parts', 'make_partition', 'open_starts', 'hour_stats']) n "
            "UNION SELECT hashtext(c.oid::regclass::text) "
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            f"WHERE {OURS} UNION SELECT generate_series(0, 100)".encode()
        ).fetchall()
    with psycopg.connect(dsns[request.param]) as connection:
        connection.execute("SET lock_timeout = '2s'")
        for relation, kind in relations:
            for mode in MODES:
                _tried(connection, f"LOCK TABLE {relation} IN {mode} MODE NOWAIT")
            for strength in ("UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"):
                _tried(connection, f"SELECT FROM {relation} FOR {strength}")
            read = _tried(connection, f"SELECT * FROM {relation}")
            if kind == "v" and relation.startswith("otel.") and request.param == "reader":
                assert read, relation
        for (key,) in keys:
            connection.execute("SELECT pg_advisory_lock(%s::bigint), pg_advisory_lock(%s::int, 0)", (key, key))
        connection.execute("SELECT pg_advisory_lock(%s)", (0x6F74656C67726573,))
        row = connection.execute(LOCKS.encode(), [connection.info.backend_pid]).fetchone()
        assert row == (0,), "only ACCESS SHARE"
        yield connection
        connection.rollback()
        connection.execute("SELECT pg_advisory_unlock_all()")


def _tried(connection: psycopg.Connection, statement: str) -> bool:
    try:
        with connection.transaction():
            connection.execute(statement.encode())
    except psycopg.Error:
        return False
    return True


def insert(connection: psycopg.Connection, age: timedelta) -> None:
    start = rows.unix_nano(datetime.now(UTC) - age)
    span = rows.Span(trace=uuid.uuid4(), start=start, end=start + 5)
    tables = list(rows.SPAN_TABLES)
    connection.execute("SELECT _otel.make_partition(t, %s) FROM unnest(%s::text[]) t", (span.stored, tables))
    connection.execute(
        "INSERT INTO _otel.spans (start_time, start_time_unix_nano, end_time_unix_nano, trace_id, resource_id, "
        "scope_id, flags, kind, dropped_attributes_count, dropped_events_count, dropped_links_count, span_id, name) "
        "VALUES (%s, %s, %s, %s, 1, 1, 0, 0, 0, 0, 0, '\\x01', 'x')",
        (span.stored, span.start, span.end, span.trace),
    )


def refresh(connection: psycopg.Connection) -> None:
    assert connection.execute("SELECT _otel.add_started_flows()").fetchone() == (0,)
    assert connection.execute("SELECT _otel.refresh_open_starts()").fetchone() == (0,)


def partition(connection: psycopg.Connection) -> None:
    for table in ("logs", "spans", "flow_parts", "hour_stats"):
        connection.execute("SELECT _otel.make_partition(%s, now() - interval '100 days')", [table])


WORK: dict[str, Callable[[psycopg.Connection], object]] = {
    "a span of now": lambda connection: insert(connection, timedelta()),
    "a span of weeks ago": lambda connection: insert(connection, timedelta(days=20)),
    "a new partition": partition,
    "open starts": refresh,
    "hours": roll_up_hours,
    "retention without anything expired": lambda connection: drop_expired(connection) == [] or pytest.fail("in use"),
}


def test_a_writer_is_not_held_up(hostile: psycopg.Connection, dsns: dict[str, str]) -> None:
    with psycopg.connect(dsns["writer"], autocommit=True) as connection:
        connection.execute(f"SET lock_timeout = '{PATIENCE}'".encode())
        for name, work in WORK.items():
            try:
                work(connection)
            except psycopg.errors.LockNotAvailable as error:
                pytest.fail(f"{name}: {error}")


def test_a_restarted_receiver_is_not_held_up(hostile: psycopg.Connection, dsns: dict[str, str]) -> None:
    assert migrate(f"{dsns['writer']}&options=-clock_timeout%3D2s") == []


def test_expired_partitions_of_other_tables_are_dropped(dsns: dict[str, str], prepared: str) -> None:
    with psycopg.connect(prepared, autocommit=True) as owner:
        owner.execute(
            "SELECT _otel.make_partition(t, now() - interval '300 days') FROM unnest(ARRAY['logs', 'spans']) t"
        )
        owner.execute("SELECT _otel.make_partition('logs', now())")
        owner.execute("INSERT INTO _otel.retention VALUES ('logs', '290 days'), ('spans', '290 days')")
        with psycopg.connect(dsns["reader"]) as reader:
            reader.execute("SELECT count(*) FROM otel.logs")
            with psycopg.connect(dsns["writer"], autocommit=True) as writer, ThreadPoolExecutor(1) as pool:
                dropping = pool.submit(drop_expired, writer)
                with psycopg.connect(dsns["writer"], autocommit=True) as other:
                    while not dropping.done():
                        began = time.monotonic()
                        other.execute(
                            "INSERT INTO _otel.logs (time, time_unix_nano, observed_time_unix_nano, "
                            "resource_id, scope_id, severity_number, flags, dropped_attributes_count) "
                            "VALUES (now(), 0, 0, 1, 1, 0, 0, 0)"
                        )
                        assert time.monotonic() - began < 2
                assert dropping.result() == ["logs"]
            assert expired(owner) == ["logs"]
        with psycopg.connect(dsns["writer"], autocommit=True) as writer:
            assert drop_expired(writer) == []
        assert expired(owner) == []
        owner.execute("DELETE FROM _otel.retention")


def expired(owner: psycopg.Connection) -> list[str]:
    found = owner.execute(
        "SELECT i.inhparent::regclass::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE c.relname ~ '^(logs|spans)_\\d{8}$' "
        "AND to_date(right(c.relname, 8), 'YYYYMMDD') < now() - interval '291 days'"
    ).fetchall()
    return [row[0].removeprefix("_otel.") for row in found]


def test_what_depends_on_a_partition_keeps_that_one_only(prepared: str) -> None:
    with psycopg.connect(prepared, autocommit=True) as owner:
        for days in (300, 301):
            owner.execute("SELECT _otel.make_partition('logs', now() - make_interval(days => %s))", [days])
        day = datetime.now(UTC) - timedelta(days=300)
        owner.execute(f"CREATE VIEW public.kept AS SELECT FROM _otel.logs_{day:%Y%m%d}".encode())
        assert owner.execute("SELECT _otel.drop_partitions('logs', now() - interval '290 days')").fetchone() == (1,)
        owner.execute("DROP VIEW public.kept")
        assert owner.execute("SELECT _otel.drop_partitions('logs', now() - interval '290 days')").fetchone() == (1,)


def test_a_migration_that_waits_for_a_reader_holds_no_writer_up(dsns: dict[str, str], prepared: str) -> None:
    with psycopg.connect(prepared, autocommit=True) as owner, psycopg.connect(dsns["reader"]) as reader:
        # So that the migration locks a table that the writer needs, before it waits for the reader.
        owner.execute("DROP TRIGGER roll_up_spans ON _otel.spans")
        owner.execute("UPDATE _otel.repeatable_migrations SET checksum = 'older'")
        reader.execute("SELECT count(*) FROM otel.spans")
        with (
            psycopg.connect(dsns["writer"], autocommit=True) as writer,
            ThreadPoolExecutor(1) as pool,
        ):
            migrating = pool.submit(migrate, prepared)
            until(lambda: waits(owner), "the migration to wait for the reader")
            for _ in range(5):
                began = time.monotonic()
                insert(writer, timedelta())
                assert time.monotonic() - began < 2
            assert not migrating.done()
            reader.rollback()
            assert migrating.result(60) == []


def waits(owner: psycopg.Connection) -> bool:
    row = owner.execute(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation' "
        "AND relation = 'otel.spans'::regclass"
    ).fetchone()
    return row is not None and row[0] > 0


def test_migrations_at_the_same_time_do_not_fail(empty_database: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(migrate, [empty_database] * 3))
    assert sorted(map(bool, done)) == [False, False, True]


def test_a_migration_that_nobody_lets_through_says_who(
    dsns: dict[str, str], prepared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otelgres.sql.migrate._ATTEMPTS", 1)
    with psycopg.connect(prepared, autocommit=True) as owner, psycopg.connect(dsns["reader"]) as reader:
        reader.execute("SELECT count(*) FROM otel.spans")
        owner.execute("UPDATE _otel.repeatable_migrations SET checksum = 'older'")
        with pytest.raises(SchemaError, match=f"pid {reader.info.backend_pid}, login {reader.info.user}"):
            migrate(prepared)
    assert migrate(prepared) == []


def test_idle_transactions_are_ended_by_those_who_may(dsns: dict[str, str], prepared: str) -> None:
    ended = query("end_idle_transactions")
    readers = ["otelgres_reader", "otelgres_tenant"]
    with (
        psycopg.connect(prepared, autocommit=True) as owner,
        psycopg.connect(dsns["writer"], autocommit=True) as writer,
        psycopg.connect(dsns["writer"]) as busy,
        psycopg.connect(dsns["reader"]) as reader,
        psycopg.connect(dsns["stranger"]) as stranger,
    ):
        reader.execute("SELECT count(*) FROM otel.logs")
        busy.execute("SELECT count(*) FROM _otel.digests")
        stranger.execute("SELECT 1")
        assert writer.execute(ended, {"minutes": 0, "groups": readers}).fetchall() == [], "may not"
        assert owner.execute(ended, {"minutes": 5, "groups": readers}).fetchall() == [], "not yet"
        found = owner.execute(ended, {"minutes": 0, "groups": readers}).fetchall()
        assert [row[:2] for row in found] == [(reader.info.backend_pid, reader.info.user)]
        with pytest.raises(psycopg.OperationalError):
            reader.execute("SELECT 1")
        busy.execute("SELECT 1")
        found = owner.execute(ended, {"minutes": 0, "groups": [*readers, "otelgres_writer"]}).fetchall()
        assert [row[:2] for row in found] == [(busy.info.backend_pid, busy.info.user)]
        with pytest.raises(psycopg.OperationalError):
            busy.execute("SELECT 1")
        stranger.execute("SELECT 1")
