"""The view ``{prefix}_logs``: its columns, whose records it shows, how it is read, and what prefixes there may be."""

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from otelgres.collector.embedded import Cluster
from otelgres.sql.migrate import migrate
from tests import postgres
from tests.sql import rows
from tests.sql.rows import Connection

COLUMNS = {
    "id": "bigint", "timestamp": "timestamp with time zone", "level": "character varying(10)",
    "logger_name": "character varying(255)", "process_id": "integer", "thread_id": "bigint",
    "thread_name": "character varying(255)", "hostname": "character varying(255)", "message": "text",
    "exception": "text", "function_name": "character varying(255)", "module": "character varying(255)",
    "filename": "character varying(500)", "lineno": "integer", "pathname": "text", "extra_data": "jsonb",
    "created_at": "timestamp with time zone",
}  # fmt: skip
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAYS = 5


@pytest.fixture(scope="module")
def filled(cluster: Cluster, migrated: str) -> Iterator[Connection]:
    """Days of logs, a tenth of which belong to prefix ``mine``."""
    with postgres.new_database(cluster, migrated) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        assert connection.execute("SELECT compat.make_logs_view('mine')").fetchone() == ("compat.mine_logs",)
        scope = rows.scope(connection)
        ids = [resource(connection, {"otelgres.table_prefix": "mine"} if n == 0 else {"n": n}) for n in range(10)]
        for ago in range(DAYS):
            day = TODAY - timedelta(days=ago)
            rows.make_partitions(connection, [day], "logs")
            connection.execute(
                """INSERT INTO _otel.logs (time, time_unix_nano, observed_time_unix_nano, resource_id, scope_id,
                       severity_number, severity_text, flags, dropped_attributes_count, uid, body, attributes)
                   SELECT %(day)s + n * interval '20 seconds',
                          extract(epoch FROM %(day)s + n * interval '20 seconds')::bigint * 1000000000, 0,
                          (%(ids)s::int[])[n %% 10 + 1], %(scope)s, 13, 'WARN', 0, 0, gen_random_uuid(), 'text ' || n,
                          '{"process.pid": 7, "thread.id": 140000000000000, "thread.name": "Main",
                            "code.file.path": "/srv/app/logic.module.py", "code.function.name": "run",
                            "code.line.number": 12, "user_id": 123}'
                   FROM generate_series(0, 3999) n""",
                {"day": day, "ids": ids, "scope": scope},
            )
        connection.execute("VACUUM ANALYZE _otel.logs")
        connection.execute("ANALYZE _otel.resources")
        yield connection


def resource(connection: Connection, attributes: dict[str, Any]) -> int:
    row = connection.execute(
        "INSERT INTO _otel.resources (hash, service_name, attributes, dropped_attributes_count, schema_url) "
        "VALUES (%s, 's', %s, 0, '') RETURNING id",
        (uuid.uuid4(), Jsonb({"host.name": "h1", **attributes})),
    ).fetchone()
    assert row is not None
    return int(row[0])


def columns(connection: Connection, view: str) -> dict[str, str]:
    found = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        [view],
    )
    return dict(found.fetchall())


def plan(connection: Connection, query: str) -> str:
    return "\n".join(
        row[0] for row in connection.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {query}".encode()).fetchall()
    )


def test_the_columns_are_those_of_the_table_that_it_stands_for(filled: Connection) -> None:
    assert columns(filled, "compat.mine_logs") == COLUMNS


def test_a_row_says_what_was_logged(filled: Connection) -> None:
    with filled.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        found = cursor.execute("SELECT * FROM compat.mine_logs ORDER BY timestamp DESC LIMIT 2").fetchall()
    later, earlier = found
    assert later.pop("id") > earlier["id"]
    created = later.pop("created_at")
    assert created.tzinfo is not None
    assert later == {
        "timestamp": TODAY + timedelta(seconds=20 * 3990), "level": "WARNING", "logger_name": "tests",
        "process_id": 7, "thread_id": 140_000_000_000_000, "thread_name": "Main", "hostname": "h1",
        "message": "text 3990", "exception": None, "function_name": "run", "module": "logic.module",
        "filename": "logic.module.py", "lineno": 12, "pathname": "/srv/app/logic.module.py",
        "extra_data": {"user_id": 123},
    }  # fmt: skip


def test_only_records_of_the_prefix_are_shown(filled: Connection) -> None:
    filled.execute("SELECT compat.make_logs_view('nobody')")
    assert filled.execute("SELECT count(*) FROM compat.mine_logs").fetchone() == (DAYS * 400,)
    assert filled.execute("SELECT count(*) FROM compat.nobody_logs").fetchone() == (0,)


def test_ids_are_distinct_and_in_order_of_time(filled: Connection) -> None:
    query = "SELECT array_agg(id ORDER BY timestamp), count(DISTINCT id) FROM compat.mine_logs"
    row = filled.execute(query.encode()).fetchone()
    assert row is not None
    assert row[0] == sorted(row[0])
    assert row[1] == DAYS * 400


def test_a_time_filter_reads_no_other_days(filled: Connection) -> None:
    day = TODAY - timedelta(days=2)
    text = plan(
        filled,
        f"SELECT * FROM compat.mine_logs WHERE timestamp >= '{day:%Y-%m-%d}' "
        f"AND timestamp < '{day:%Y-%m-%d} 01:00' AND level = 'WARNING'",
    )
    assert set(re.findall(r"logs_(\d{8})", text)) == {f"{day:%Y%m%d}"}, text


def test_the_newest_are_an_index_scan(filled: Connection) -> None:
    text = plan(filled, "SELECT * FROM compat.mine_logs ORDER BY timestamp DESC LIMIT 20")
    assert "Sort" not in text, text
    assert re.search(r"Index Scan Backward using logs_\d{8}_time_idx", text), text
    scanned = [int(number) for number in re.findall(r"Index Scan Backward .*?rows=(\d+)", text)]
    assert max(scanned) <= 500, text


@pytest.mark.parametrize(
    "prefix", ["", "A", "1a", "a-b", 'a"b', "a'b", "a; DROP VIEW compat.mine_logs", "x" * 59, "{{prefix}}", "é", None]
)
def test_a_prefix_that_is_none_is_refused(filled: Connection, prefix: str | None) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="a table prefix must be 1 to 58 lower-case letters"):
        filled.execute("SELECT compat.make_logs_view(%s)", [prefix])


def test_a_relation_that_is_something_else_is_not_replaced(filled: Connection) -> None:
    with pytest.raises(psycopg.errors.DuplicateTable, match=r"relation compat\.error_logs already"):
        filled.execute("SELECT compat.make_logs_view('error')")


def test_the_longest_prefix_fits_and_may_be_created_twice(filled: Connection) -> None:
    for _ in range(2):
        assert filled.execute("SELECT compat.make_logs_view(%s)", ["x" * 58]).fetchone() == (f"compat.{'x' * 58}_logs",)


def test_a_column_of_ones_own_and_an_upgrade(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SELECT compat.make_logs_view('app')")
        connection.execute("SELECT compat.map_column('app_logs', 'user_id', 'user_id', 'integer')")
        assert columns(connection, "compat.app_logs") == {**COLUMNS, "user_id": "integer"}
        # What tells all of it from nothing: a view whose shape is another.
        connection.execute("DROP VIEW otel.service_edges; CREATE VIEW otel.service_edges AS SELECT 1 AS older")
        connection.execute("UPDATE _otel.repeatable_migrations SET checksum = 'older'")
        migrate(database)
        assert columns(connection, "compat.app_logs") == {**COLUMNS, "user_id": "integer"}
        comments = connection.execute(
            "SELECT count(col_description('compat.app_logs'::regclass, n)) FROM generate_series(1, 17) n"
        ).fetchone()
        assert comments == (17,)
        rights = "SELECT has_table_privilege('otelgres_reader', 'compat.app_logs', 'SELECT'), relowner::regrole::text "
        row = connection.execute(rights.encode() + b"FROM pg_class WHERE oid = 'compat.app_logs'::regclass").fetchone()
        assert row == (True, "otelgres_owner")


def test_an_invalid_value_fails_no_query(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SELECT compat.make_logs_view('app')")
        rows.make_partitions(connection, [TODAY], "logs")
        number = resource(connection, {"otelgres.table_prefix": "app"})
        connection.execute(
            """INSERT INTO _otel.logs (time, time_unix_nano, observed_time_unix_nano, resource_id, scope_id,
                   severity_number, severity_text, flags, dropped_attributes_count, attributes)
               VALUES (%s, 9223372036854775807, 0, %s, 0, 18, 'A level of a long name', 0, 0,
                   '{"process.pid": "many", "thread.id": 1e300, "code.line.number": {}, "code.file.path": ""}')""",
            (TODAY, number),
        )
        found = connection.execute(
            "SELECT level, process_id, thread_id, lineno, logger_name, message, module, extra_data FROM compat.app_logs"
        ).fetchall()
        assert found == [("A level of", 0, 0, None, "", "", "", None)]


def test_the_prefix_that_keeps_longest_decides(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:

        def kept() -> Any:
            return dict(
                connection.execute("SELECT table_name, extract(day FROM keep)::int FROM _otel.retention").fetchall()
            )

        connection.execute("SELECT compat.make_logs_view('a'), compat.make_logs_view('b'), compat.make_logs_view('c')")
        connection.execute("INSERT INTO _otel.retention VALUES ('spans', interval '9 days')")
        for prefix, days, result in (
            ("a", 30, 30),
            ("b", 90, 90),
            ("a", 20, 90),
            ("b", 10, 20),
            ("b", 0, 0),
            ("b", 5, 20),
        ):
            assert connection.execute("SELECT compat.keep_logs(%s, %s)", (prefix, days)).fetchone() == (result,)
            assert kept() == {"spans": 9, "digests": 7} | ({"logs": result} if result else {})
        for call in (("a", -1), ("a", None), ("nobody", 3)):
            with pytest.raises(psycopg.Error):
                connection.execute("SELECT compat.keep_logs(%s, %s)", call)
