"""What the listeners' tests share: a loop of its own for the servers that a module starts."""

from collections.abc import Iterator

import pytest

from tests.acceptance.desk import LoopThread, loop_thread


@pytest.fixture(scope="module")
def loop() -> Iterator[LoopThread]:
    with loop_thread() as running:
        yield running
