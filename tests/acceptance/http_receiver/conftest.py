"""An OTLP/HTTP server of each module, and the desk behind it."""

from collections.abc import Iterator

import pytest

from tests.acceptance.desk import Desk, LoopThread
from tests.acceptance.http_client import serving


@pytest.fixture(scope="module")
def shared(loop: LoopThread) -> Iterator[tuple[int, Desk]]:
    desk = Desk()
    with serving(loop, desk) as port:
        yield port, desk


@pytest.fixture
def port(shared: tuple[int, Desk]) -> int:
    return shared[0]


@pytest.fixture
def desk(shared: tuple[int, Desk]) -> Desk:
    """The desk behind ``port``, cleared: starting and stopping a server for each test would be most of the time."""
    shared[1].clear()
    return shared[1]
