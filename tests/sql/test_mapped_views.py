"""Columns of compat relations from attributes: a template, a mapping, what people change, and what upgrades keep."""

import psycopg
import pytest

from otelgres.sql.migrate import migrate
from tests.sql.conftest import Ask
from tests.sql.rows import Connection

TEMPLATE = """
SELECT n, {{place}} AS place, {{size}} AS size{{...}}
FROM public.records
"""
COLUMNS = """
{"place": {"attributes": ["place", "app.place"], "type": "text"}, "size": {"attributes": ["size"], "type": "numeric"}}
"""


@pytest.fixture
def relation(connection: Connection) -> str:
    connection.execute("CREATE TABLE public.records (n int, attributes jsonb, resource_attributes jsonb)")
    connection.execute("""
        INSERT INTO public.records VALUES
            (1, '{"place": "here", "size": 2.5, "it''s": "7", "deep": {"a": [1]}}', '{"host.name": "h1"}'),
            (2, '{"app.place": "there", "size": "many"}', '{}'),
            (3, '{}', '{}')
    """)
    # Views of ours belong to the owner's role, which reads our tables, not everybody's.
    connection.execute("GRANT SELECT ON public.records TO otelgres_owner")
    connection.execute("SELECT _otel.define_view('things', %s, %s)", (COLUMNS, TEMPLATE))
    return "compat.things"


def test_the_first_key_that_is_there_fills_a_column(relation: str, ask: Ask) -> None:
    assert [row["place"] for row in ask("SELECT * FROM compat.things ORDER BY n")] == ["here", "there", None]


def test_a_value_of_another_type_is_null_and_no_error(relation: str, ask: Ask) -> None:
    assert [row["size"] for row in ask("SELECT size::float8 FROM compat.things ORDER BY n")] == [2.5, None, None]


def test_people_add_columns_and_put_attributes_first(relation: str, connection: Connection, ask: Ask) -> None:
    connection.execute("SELECT compat.map_column('things', 'quoted\"name', 'it''s', 'int')")
    connection.execute("SELECT compat.map_column('things', 'deep', 'deep', 'jsonb')")
    connection.execute("SELECT compat.map_column('things', 'host', 'resource:host.name')")
    connection.execute("SELECT compat.map_column('things', 'place', 'it''s')")
    assert ask("SELECT * FROM compat.things WHERE n = 1")[0] | {"size": None} == {
        "n": 1, "place": "7", "size": None, 'quoted"name': 7, "deep": {"a": [1]}, "host": "h1",
    }  # fmt: skip
    changed = ask("SELECT column_name FROM compat.mapped_columns WHERE relation = 'things' AND changed ORDER BY 1")
    assert [row["column_name"] for row in changed] == ["deep", "host", "place", 'quoted"name']


def test_what_is_taken_back_leaves_comments_and_grants(relation: str, connection: Connection, ask: Ask) -> None:
    connection.execute("COMMENT ON VIEW compat.things IS 'Things.'; COMMENT ON COLUMN compat.things.place IS 'Where.'")
    connection.execute("GRANT SELECT ON compat.things TO PUBLIC")
    connection.execute("SELECT compat.map_column('things', 'host', 'resource:host.name')")
    assert ask("SELECT compat.unmap_column('things', 'host') AS done")[0]["done"]
    assert not ask("SELECT compat.unmap_column('things', 'host') AS done")[0]["done"]
    row = ask("""
        SELECT obj_description('compat.things'::regclass) AS whole,
            col_description('compat.things'::regclass, 2) AS place,
            has_table_privilege('public', 'compat.things', 'SELECT') AS readable
    """)[0]
    assert row == {"whole": "Things.", "place": "Where.", "readable": True}
    assert list(ask("SELECT * FROM compat.things LIMIT 1")[0]) == ["n", "place", "size"]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("('nothing', 'a', 'b')", psycopg.errors.UndefinedTable),
        ("('things', 'n', 'b')", psycopg.errors.WrongObjectType),
        ("('things', 'a', 'b', 'text; DROP TABLE public.records')", psycopg.errors.SyntaxError),
    ],
    ids=["relation", "column", "type"],
)
def test_a_mapping_that_makes_no_sense_says_so(
    relation: str, connection: Connection, call: str, error: type[psycopg.Error]
) -> None:
    with pytest.raises(error):
        connection.execute(f"SELECT compat.map_column{call}".encode())


def test_an_upgrade_keeps_mappings_and_relations_made_at_run_time(
    relation: str, database: str, connection: Connection, ask: Ask
) -> None:
    connection.execute("SELECT compat.map_column('things', 'host', 'resource:host.name')")
    connection.execute("DROP VIEW otel.service_edges; CREATE VIEW otel.service_edges AS SELECT 1 AS older")
    connection.execute("UPDATE _otel.repeatable_migrations SET checksum = 'older'")
    migrate(database)
    assert ask("SELECT host FROM compat.things WHERE n = 1") == [{"host": "h1"}]
