"""An OTLP/gRPC server for each test, and the queue behind it."""

from collections.abc import Iterator

import pytest

from tests.acceptance.grpc_receiver.serving import serving
from tests.acceptance.stub_queue import LoopThread, StubQueue


@pytest.fixture
def stub() -> StubQueue:
    return StubQueue()


@pytest.fixture
def port(loop: LoopThread, stub: StubQueue) -> Iterator[int]:
    with serving(loop, stub) as port:
        yield port
