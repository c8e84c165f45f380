"""The surface as a whole: everything is explained, nothing depends on a search_path, and it can be told again."""

from pathlib import Path

import psycopg
import pytest

from otelgres import sql
from otelgres.sql.migrate import SchemaError, migrate
from tests.sql.conftest import Ask
from tests.sql.rows import Connection

VIEWS = {
    "spans", "logs", "metric_points", "flows", "checkpoints", "phase_timing", "span_stats", "services", "service_edges",
}  # fmt: skip
AGAIN = "UPDATE _otel.repeatable_migrations SET checksum = 'older'"


def test_the_views_are_there(ask: Ask) -> None:
    there = ask("SELECT viewname FROM pg_views WHERE schemaname = 'otel'")
    assert VIEWS.issubset(row["viewname"] for row in there)


def test_every_view_and_column_is_explained(ask: Ask) -> None:
    assert (
        ask("""
        SELECT c.relname, a.attname
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        WHERE c.relnamespace IN ('otel'::regnamespace, 'compat'::regnamespace) AND c.relkind <> 'i'
            AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)
        """)
        == []
    )


def test_every_function_is_explained(ask: Ask) -> None:
    assert (
        ask("""
        SELECT oid::regprocedure::text FROM pg_proc
        WHERE pronamespace IN ('otel'::regnamespace, 'compat'::regnamespace) AND obj_description(oid, 'pg_proc') IS NULL
        """)
        == []
    )


def test_no_function_depends_on_the_search_path(ask: Ask) -> None:
    # One with a body of bound names (prosqlbody) cannot; an aggregate has no body.
    assert (
        ask("""
        SELECT oid::regprocedure::text FROM pg_proc
        WHERE pronamespace IN ('otel'::regnamespace, '_otel'::regnamespace, 'compat'::regnamespace) AND prokind = 'f'
            AND prosqlbody IS NULL
            AND NOT coalesce(array_to_string(proconfig, ' '), '') LIKE '%%search_path=pg_catalog, pg_temp%%'
        """)
        == []
    )


def test_no_b_tree_holds_what_senders_say(ask: Ask) -> None:
    # It refuses rows whose value is too long for it, and with them the request. Names of our own have a bound.
    assert (
        ask("""
        SELECT x.relname AS index, a.attname AS column
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indrelid
        JOIN pg_class x ON x.oid = i.indexrelid
        JOIN pg_attribute a ON a.attrelid = x.oid
        WHERE c.relnamespace = '_otel'::regnamespace AND NOT c.relispartition AND c.relname NOT IN (
                'alert_rules', 'repeatable_migrations', 'flow_expectations', 'logs_views', 'migrations', 'partitioned',
                'retention')
            AND x.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')
            AND a.atttypid::regtype::text IN ('text', 'jsonb', 'text[]')
            AND x.relname <> 'logs_own_events'
        """)
        == []
    )


def test_functions_that_people_call_change_nothing(ask: Ask) -> None:
    assert (
        ask("""
        SELECT oid::regprocedure::text FROM pg_proc
        WHERE pronamespace = 'otel'::regnamespace AND prokind = 'f' AND (provolatile = 'v' OR proparallel = 'u')
        """)
        == []
    )


def test_a_reader_of_the_views_needs_nothing_else(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL ROLE NONE")  # The login may create roles, and it may use those of the owner.
        connection.execute("CREATE ROLE only_views")
        connection.execute("GRANT only_views TO CURRENT_USER WITH SET true")
        connection.execute("GRANT otelgres_reader TO only_views")
        connection.execute("RESET ROLE")
        connection.execute("SET LOCAL ROLE only_views")
        for view in sorted(VIEWS):
            connection.execute(f"SELECT * FROM otel.{view}".encode())
        connection.execute("SELECT * FROM otel.span_tree(gen_random_uuid())")
        connection.execute("SELECT * FROM otel.critical_path(repeat('a', 32))")
        connection.execute("SELECT * FROM otel.service_map()")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM _otel.spans")


def test_reapplying_keeps_dependent_objects(database: str, connection: Connection) -> None:
    connection.execute("CREATE VIEW public.mine AS SELECT flow_id FROM otel.flows")
    connection.execute(AGAIN)
    assert migrate(database) == []
    connection.execute("SELECT * FROM public.mine")


def test_a_changed_shape_replaces_the_older_one(database: str, connection: Connection, ask: Ask) -> None:
    connection.execute("DROP VIEW otel.spans CASCADE; CREATE VIEW otel.spans AS SELECT 1 AS older")
    connection.execute("DROP FUNCTION otel.span_tree(uuid)")
    connection.execute("CREATE FUNCTION otel.span_tree(uuid) RETURNS int LANGUAGE sql AS 'SELECT 1'")
    connection.execute(AGAIN)
    migrate(database)
    assert ask("SELECT trace_id FROM otel.spans") == []
    assert ask("SELECT depth FROM otel.span_tree(gen_random_uuid())") == []


def test_a_changed_shape_never_takes_away_what_is_not_ours(database: str, connection: Connection) -> None:
    connection.execute("DROP VIEW otel.spans CASCADE; CREATE VIEW otel.spans AS SELECT 1 AS older")
    connection.execute("CREATE VIEW public.mine AS SELECT older FROM otel.spans")
    connection.execute(AGAIN)
    with pytest.raises(SchemaError, match="mine"):
        migrate(database)
    connection.execute("SELECT older FROM public.mine")


@pytest.mark.parametrize("folder", ["functions", "views", "compat", "tenant"])
def test_one_object_a_file(folder: str) -> None:
    for script in (Path(sql.__file__).parent / folder).glob("*.sql"):
        assert f".{script.stem}" in script.read_text(encoding="utf-8"), script.name
