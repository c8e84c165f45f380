"""The walk of ``make attack`` over every routine of ours, as each kind of login."""

from collections.abc import Iterator

import pytest

from otelgres.collector.embedded import Cluster
from tests import postgres
from tests.attack import privileges


@pytest.fixture(scope="module")
def own_cluster(postgres_version: str) -> Iterator[Cluster]:
    """A server of its own: the walk makes roles, which belong to the whole server."""
    with postgres.fast_cluster(postgres_version) as running:
        yield running


def test_no_login_gets_more_than_its_rights(own_cluster: Cluster) -> None:
    broken = [result for result in privileges.attack(own_cluster) if not result.held]
    assert broken == []
