"""An OTLP/HTTP server of each module, and the queue behind it."""

from collections.abc import Iterator

import pytest

from tests.acceptance.http_client import serving
from tests.acceptance.stub_queue import LoopThread, StubQueue


@pytest.fixture(scope="module")
def shared(loop: LoopThread) -> Iterator[tuple[int, StubQueue]]:
    stub = StubQueue()
    with serving(loop, stub) as port:
        yield port, stub


@pytest.fixture
def port(shared: tuple[int, StubQueue]) -> int:
    return shared[0]


@pytest.fixture
def stub(shared: tuple[int, StubQueue]) -> StubQueue:
    """The queue behind ``port``, cleared: starting and stopping a server for each test would be most of the time."""
    shared[1].clear()
    return shared[1]
