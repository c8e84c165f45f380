"""Fixtures that every test may use: a PostgreSQL server, and databases on it with and without our schema."""

import os
import random
import shutil
import signal
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

from otelgres.collector.embedded import Cluster
from otelgres.sql.migrate import migrate
from tests import postgres

# How long an example takes says something of the machine, not of the code.
settings.register_profile("otelgres", deadline=None)
settings.load_profile("otelgres")


def pytest_configure(config: pytest.Config) -> None:
    # Applications that tests start keep what they cannot send below here, not in the folder of whoever runs the tests.
    os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="otelgres-tests-state-")
    # Shells start background jobs with Ctrl-C ignored, and every process below would inherit that.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Tests start hundreds of processes: where they may not keep what they compiled, each compiles all of ours again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(os.environ["XDG_STATE_HOME"], ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--postgres", choices=("16", "18"), help=f"PostgreSQL version (else {postgres.VERSION_VARIABLE}, 18)"
    )
    parser.addoption("--shuffle", metavar="SEED", help="Run modules, and the tests in each, in an order made from SEED")


# First: pytest itself then brings together what shares a parameter of a module's fixture, so that it is made once.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("--shuffle")
    if seed is not None:
        # Seeded with text, so that every process makes the same order. A module's tests stay together: they share much.
        modules = sorted({item.path for item in items})
        random.Random(seed).shuffle(modules)
        place = {path: number for number, path in enumerate(modules)}
        random.Random(seed).shuffle(items)
        items.sort(key=lambda item: place[item.path])


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
