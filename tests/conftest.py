"""Fixtures that every test may use: a PostgreSQL server, and databases on it with and without our schema."""

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

from otelgres.collector.embedded import Cluster
from tests import postgres

# How long an example takes says something of the machine, not of the code.
settings.register_profile("otelgres", deadline=None)
settings.load_profile("otelgres")


def pytest_configure(config: pytest.Config) -> None:
    # Applications that tests start keep what they cannot send below here, not in the folder of whoever runs the tests.
    os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="otelgres-tests-state-")


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(os.environ["XDG_STATE_HOME"], ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--postgres", choices=("16", "18"), help=f"PostgreSQL version (else {postgres.VERSION_VARIABLE}, 18)"
    )


@pytest.fixture(scope="session")
def postgres_version(request: pytest.FixtureRequest) -> str:
    """The major version of PostgreSQL to test on, "18" or "16"."""
    return postgres.version(request.config.getoption("--postgres"))


@pytest.fixture(scope="session")
def cluster(postgres_version: str) -> Iterator[Cluster]:
    """A running server shared by this process's tests. It is not durable: a test that kills starts its own."""
    with postgres.fast_cluster(postgres_version) as running:
        yield running


@pytest.fixture(scope="session")
def migrated(cluster: Cluster) -> str:
    """The name of a database with all migrations applied. Nobody connects to it: it is there to be copied."""
    from otelgres.sql.migrate import migrate

    migrate(postgres.create_database(cluster, "migrated"))
    return "migrated"


@pytest.fixture
def database(cluster: Cluster, migrated: str) -> Iterator[str]:
    """The DSN of a fresh database with our schema."""
    with postgres.new_database(cluster, migrated) as dsn:
        yield dsn


@pytest.fixture
def empty_database(cluster: Cluster) -> Iterator[str]:
    """The DSN of a fresh database without anything in it."""
    with postgres.new_database(cluster) as dsn:
        yield dsn
