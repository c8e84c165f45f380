"""Shares of a limited quantity: whoever takes all it may leaves something for others."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelgres.collector.system.network import client_network
from otelgres.collector.system.shares import Shares


@given(st.integers(1, 200), st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(-20, 20)), max_size=100))
def test_totals_are_bounded_and_who_holds_none_gets_some(most: int, steps: list[tuple[str, int]]) -> None:
    shares, held = Shares(most), Counter[str]()
    for user, size in steps:
        if size > 0:
            own, free = held[user], most - held.total()
            taken = shares.take(user, size)
            assert taken == (size <= free and (own == 0 or own + size <= 3 * free))
            held[user] += size * taken
        elif 0 < -size <= held[user]:
            shares.give_back(user, -size)
            held[user] += size
        assert shares.held == held.total() <= most
        assert len(shares) == sum(one > 0 for one in held.values())


def test_one_alone_gets_three_quarters_and_the_next_three_quarters_of_the_rest() -> None:
    shares = Shares(1024)
    assert [sum(shares.take(user, 1) for _ in range(2000)) for user in "abc"] == [768, 192, 48]


def test_one_thing_may_be_as_large_as_all() -> None:
    shares = Shares(100)
    taken = 0
    while taken < 100:
        assert shares.take("a", 10, at_once=taken)
        taken += 10
    assert not shares.take("a", 1, at_once=taken)
    shares.give_back("a", 100)
    assert len(shares) == 0
    assert shares.take("a", 60)
    taken = 0
    while shares.take("a", 5, at_once=taken):
        taken += 5
    assert taken == 15, "a second thing has the share only"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix:", "unix:"),
    ],
)
def test_addresses_of_one_client_are_one(address: str, network: str) -> None:
    assert client_network(address) == network
