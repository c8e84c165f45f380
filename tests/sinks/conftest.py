"""Writers and readers of a database: one of a test's own, and one that many examples of a test share."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from otelgres.collector.embedded import Cluster
from otelgres.exporters.postgres.writer import PostgresWriter
from tests import postgres


@pytest.fixture(scope="module")
def shared_database(cluster: Cluster, migrated: str) -> Iterator[str]:
    """The DSN of a database with our schema, one for each module."""
    with postgres.new_database(cluster, migrated) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def shared_writer(shared_database: str) -> Iterator[PostgresWriter]:
    """A writer into that database, with the rights of a writer."""
    writer = PostgresWriter(postgres.as_role(shared_database, "otelgres_writer"))
    yield writer
    writer.close()


@pytest.fixture(scope="module")
def shared_reader(shared_database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to that database."""
    with psycopg.connect(shared_database, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        yield connection


@pytest.fixture
def writer(database: str) -> Iterator[PostgresWriter]:
    """A writer into the test's database, with the rights of a writer."""
    one = PostgresWriter(postgres.as_role(database, "otelgres_writer"))
    yield one
    one.close()


@pytest.fixture
def reader(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the test's database."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection
