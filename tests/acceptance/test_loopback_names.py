"""Which names lead to this machine only: the system is asked."""

import pytest

from otelgres.collector.security.binding import is_loopback


@pytest.mark.parametrize(
    ("host", "found"),
    [("localhost", True), ("no-such-host.invalid", False), ("0", False)],
    ids=lambda value: str(value),
)
def test_a_name_is_loopback_if_the_system_says_so(host: str, found: bool) -> None:
    assert is_loopback(host) is found
