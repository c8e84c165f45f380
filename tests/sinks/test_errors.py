"""What errors mean, told from errors that PostgreSQL itself raised."""

from typing import Any

import psycopg
import pytest

from otelgres.collector.embedded import Cluster
from otelgres.exporters.postgres.errors import Meaning, advice, meaning
from tests import postgres


def _raised(connection: psycopg.Connection[Any], statement: str) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(statement.encode())
    return caught.value


@pytest.fixture(scope="module")
def connection(cluster: Cluster) -> Any:
    with (
        postgres.new_database(cluster) as dsn,
        psycopg.connect(dsn, autocommit=True) as open_connection,
    ):
        yield open_connection


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("23505", Meaning.DUPLICATE),
        ("40001", Meaning.AGAIN),
        ("40P01", Meaning.AGAIN),
        ("55P03", Meaning.AGAIN),
        ("22P05", Meaning.POISON),
        ("22003", Meaning.POISON),
        ("22021", Meaning.POISON),
        ("21000", Meaning.POISON),
        ("54000", Meaning.POISON),
        ("23502", Meaning.POISON),
        ("08006", Meaning.AWAY),
        ("53100", Meaning.AWAY),
        ("53200", Meaning.AWAY),
        ("57P01", Meaning.AWAY),
        ("57014", Meaning.AWAY),
        ("25006", Meaning.AWAY),
        ("28000", Meaning.AWAY),
        ("42501", Meaning.AWAY),
        ("42P01", Meaning.AWAY),
        ("58030", Meaning.AWAY),
        ("XX000", Meaning.AWAY),
    ],
)
def test_meaning_of_states(connection: psycopg.Connection[Any], state: str, expected: Meaning) -> None:
    assert meaning(_raised(connection, f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$")) is expected


def test_a_missing_partition_is_told_from_a_constraint(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE t (a integer CHECK (a > 0)) PARTITION BY RANGE (a)")
    connection.execute("CREATE TABLE t_0 PARTITION OF t FOR VALUES FROM (0) TO (10)")
    assert meaning(_raised(connection, "INSERT INTO t VALUES (11)")) is Meaning.NO_PARTITION
    assert meaning(_raised(connection, "INSERT INTO t VALUES (0)")) is Meaning.POISON


def test_a_missing_partition_is_known_in_every_language(connection: psycopg.Connection[Any]) -> None:
    # As a server with German messages words it; the embedded one carries no translations.
    error = _raised(
        connection,
        "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '23514', TABLE = 'spans', "
        "MESSAGE = 'keine Partition von Relation »spans« für die Zeile gefunden'; END $$",
    )
    assert meaning(error) is Meaning.NO_PARTITION


def test_text_that_psycopg_refuses_to_send_is_poison(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.DataError) as caught:
        connection.execute("SELECT %s::text", ["\0"])
    assert meaning(caught.value) is Meaning.POISON


def test_a_server_that_is_not_there_is_away() -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect("host=127.0.0.1 port=1 connect_timeout=2")
    assert meaning(caught.value) is Meaning.AWAY
    assert advice(caught.value) == "PostgreSQL cannot be reached"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("42P01", "otelgres migrate"),
        ("3F000", "otelgres migrate"),
        ("42703", "otelgres migrate"),
        ("25006", "read-only"),
        ("42501", "no right"),
        ("28P01", "no right"),
        ("53100", "out of a resource"),
        ("57P01", "cannot be reached"),
    ],
)
def test_advice(connection: psycopg.Connection[Any], state: str, words: str) -> None:
    assert words in advice(_raised(connection, f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$"))
