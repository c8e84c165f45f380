"""What errors mean, told from errors that PostgreSQL itself raised."""

from typing import Any

import psycopg
import pytest

from otelgres.collector.embedded import Cluster
from otelgres.exporters.postgres.errors import ErrorClass, advice, classify
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
        ("23505", ErrorClass.DUPLICATE),
        ("40001", ErrorClass.CONFLICT),
        ("40P01", ErrorClass.CONFLICT),
        ("55P03", ErrorClass.CONFLICT),
        ("22P05", ErrorClass.POISON),
        ("22003", ErrorClass.POISON),
        ("22021", ErrorClass.POISON),
        ("21000", ErrorClass.POISON),
        ("54000", ErrorClass.POISON),
        ("23502", ErrorClass.POISON),
        ("08006", ErrorClass.UNAVAILABLE),
        ("53100", ErrorClass.UNAVAILABLE),
        ("53200", ErrorClass.UNAVAILABLE),
        ("57P01", ErrorClass.UNAVAILABLE),
        ("57014", ErrorClass.UNAVAILABLE),
        ("25006", ErrorClass.UNAVAILABLE),
        ("28000", ErrorClass.UNAVAILABLE),
        ("42501", ErrorClass.UNAVAILABLE),
        ("42P01", ErrorClass.UNAVAILABLE),
        ("58030", ErrorClass.UNAVAILABLE),
        ("XX000", ErrorClass.UNAVAILABLE),
    ],
)
def test_classes_of_states(connection: psycopg.Connection[Any], state: str, expected: ErrorClass) -> None:
    assert classify(_raised(connection, f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$")) is expected


def test_a_missing_partition_is_distinguished_from_a_constraint(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE t (a integer CHECK (a > 0)) PARTITION BY RANGE (a)")
    connection.execute("CREATE TABLE t_0 PARTITION OF t FOR VALUES FROM (0) TO (10)")
    assert classify(_raised(connection, "INSERT INTO t VALUES (11)")) is ErrorClass.NO_PARTITION
    assert classify(_raised(connection, "INSERT INTO t VALUES (0)")) is ErrorClass.POISON


def test_a_missing_partition_is_known_in_every_language(connection: psycopg.Connection[Any]) -> None:
    # As a server with German messages words it; the embedded one carries no translations.
    error = _raised(
        connection,
        "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '23514', TABLE = 'spans', "
        "MESSAGE = 'keine Partition von Relation »spans« für die Zeile gefunden'; END $$",
    )
    assert classify(error) is ErrorClass.NO_PARTITION


def test_text_that_psycopg_refuses_to_send_is_poison(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.DataError) as caught:
        connection.execute("SELECT %s::text", ["\0"])
    assert classify(caught.value) is ErrorClass.POISON


def test_a_server_that_is_not_there_is_away() -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect("host=127.0.0.1 port=1 connect_timeout=2")
    assert classify(caught.value) is ErrorClass.UNAVAILABLE
    assert advice(caught.value) == "PostgreSQL cannot be reached"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("42P01", "otelgres migrate"),
        ("3F000", "otelgres migrate"),
        ("42703", "otelgres migrate"),
        ("25006", "read-only"),
        ("42501", "permission denied"),
        ("28P01", "permission denied"),
        ("53100", "out of a resource"),
        ("57P01", "cannot be reached"),
    ],
)
def test_advice(connection: psycopg.Connection[Any], state: str, words: str) -> None:
    assert words in advice(_raised(connection, f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$"))
