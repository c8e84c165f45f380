"""Short floods of ``make attack``, by clients without a token."""

from collections.abc import Iterator

import pytest

from tests.attack.floods import Receiver, flooded
from tests.attack.run import guarded_receiver

_SECONDS = 2.0


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with guarded_receiver() as receiver:
        yield receiver


@pytest.mark.parametrize(
    "name", ["headers that never end", "calls opened and reset", "HTTP connections with half a header"]
)
def test_a_flood_without_a_token_is_held(receiver: Receiver, name: str) -> None:
    result = flooded(receiver, name, _SECONDS)
    assert result.held, result.figures
