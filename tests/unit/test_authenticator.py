"""The authenticator's answers, and the bounds of what it remembers and says."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from otelgres.collector.outcomes import PermissionDenied, Rejected, Unauthenticated
from otelgres.collector.security.auth_throttle import AuthThrottle
from otelgres.collector.security.authenticator import Authenticator, Credentials
from otelgres.collector.security.principal import Principal
from otelgres.collector.security.token_file import TokenFile, changing
from otelgres.collector.security.tokens import TokenScope, new_token
from otelgres.exporters.outcome import Overloaded

NOW = datetime.now(UTC)


class _Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> _Time:
    return _Time()


@pytest.fixture
def good() -> list[str]:
    return []


@pytest.fixture
def guard(tmp_path: Path, time: _Time, good: list[str]) -> Authenticator:
    path = tmp_path / "tokens.yaml"
    with changing(path) as tokens:
        for expires in (None, NOW + timedelta(days=1), NOW - timedelta(seconds=1)):
            text, token = new_token("orders", [TokenScope.INGEST], now=NOW, expires=expires, tenant="acme")
            good.append(text)
            tokens.append(token)
    return Authenticator(TokenFile(path), failures=AuthThrottle(3, 60.0, clock=time), clock=time)


def admit(guard: Authenticator, text: str, address: str = "192.0.2.1", scope: TokenScope = TokenScope.INGEST) -> object:
    """The principal, or the outcome of the rejection."""
    try:
        return guard.admit(Credentials(f"Bearer {text}", None, address), scope)
    except Rejected as rejected:
        return rejected.outcome


def test_two_tokens_of_one_name_are_good_until_they_end(guard: Authenticator, good: list[str]) -> None:
    for text in good[:2]:
        assert admit(guard, text) == Principal("orders", "acme")
    assert admit(guard, good[2]) == Unauthenticated("the token has expired", shown=True)
    assert isinstance(admit(guard, good[0], scope=TokenScope.READ), PermissionDenied)
    with pytest.raises(Rejected) as caught:
        guard.admit(Credentials(None, None, "192.0.2.1"), TokenScope.INGEST)
    assert caught.value.reason == "no_token"
    assert caught.value.outcome == Unauthenticated(
        "a token is needed: send `Authorization: Bearer <token>` or `x-api-key: <token>`", shown=False
    )


def test_a_failing_peer_is_slowed_down_for_a_while_and_no_other(
    guard: Authenticator, good: list[str], time: _Time
) -> None:
    outcomes = [type(admit(guard, "wrong")) for _ in range(5)]
    assert outcomes == [Unauthenticated] * 3 + [Overloaded] * 2
    assert isinstance(admit(guard, "wrong", "192.0.2.2"), Unauthenticated)
    assert isinstance(admit(guard, good[0]), Principal), "a good token is never slowed down"
    time.now = 61.0
    assert isinstance(admit(guard, "wrong"), Unauthenticated)


def test_the_log_has_neither_tokens_nor_a_line_for_each_failure(
    guard: Authenticator, good: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for number in range(3000):
        admit(guard, f"secret-{number % 7}", f"198.51.{number // 250}.{number % 250}")
        admit(guard, good[2], "192.0.2.1")
        admit(guard, good[0], "192.0.2.1", TokenScope.READ)
    assert 1 <= len(caplog.records) <= 20
    assert "secret-" not in caplog.text
    assert not any(text in caplog.text for text in good)


def test_a_peer_is_named_once_in_a_while(guard: Authenticator, time: _Time, caplog: pytest.LogCaptureFixture) -> None:
    for now in (0.0, 1.0, 2.0, 61.0):
        time.now = now
        admit(guard, "wrong")
    message = "rejected a request from 192.0.2.1: unknown_token; further rejections from this address are only counted"
    assert caplog.messages == [message] * 2


def test_names_in_the_log_cannot_break_its_lines(
    guard: Authenticator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "wrong.yaml"
    text, token = new_token("a\nWARNING forged", [TokenScope.READ], now=NOW)
    with changing(path) as tokens:
        tokens.append(token)
    admit(Authenticator(TokenFile(path)), text)
    assert len(caplog.messages) == 1
    assert "\n" not in caplog.messages[0]


def test_the_table_of_failures_does_not_grow(time: _Time) -> None:
    failures = AuthThrottle(3, 60.0, peers=100, clock=time)
    for number in range(10_000):
        failures.add(f"10.0.{number // 250}.{number % 250}")
        failures.add("192.0.2.1")
    assert len(failures) == 100
    assert failures.add("192.0.2.1") == 10_001, "who fails all the time is not forgotten for those who fail once"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("unknown", "unknown", True),
    ],
)
def test_who_counts_as_one_peer(first: str, second: str, same: bool) -> None:
    failures = AuthThrottle()
    failures.add(first)
    assert failures.add(second) == (2 if same else 1)
