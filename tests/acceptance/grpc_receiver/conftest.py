"""An OTLP/gRPC server for each test, and the desk behind it."""

from collections.abc import Iterator

import pytest

from tests.acceptance.desk import Desk, LoopThread
from tests.acceptance.grpc_receiver.serving import serving


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def port(loop: LoopThread, desk: Desk) -> Iterator[int]:
    with serving(loop, desk) as port:
        yield port
