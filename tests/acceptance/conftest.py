"""What the listeners' tests share: a loop of its own for the servers that a module starts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from otelgres.collector.embedded.binaries import DEFAULT_VERSION
from tests import postgres
from tests.acceptance.stub_queue import LoopThread, loop_thread


@pytest.fixture(scope="session")
def made_data() -> Iterator[Path]:
    """A data folder with our schema, to be copied."""
    with postgres.migrated_data(DEFAULT_VERSION) as data:
        yield data


@pytest.fixture(scope="module")
def loop() -> Iterator[LoopThread]:
    with loop_thread() as running:
        yield running
