"""Tokens on paper: what is written, what is read, what is refused, and that the token itself is nowhere in it."""

import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from otelgres.collector.security.token_file import TokenFile, TokensUnusable, changing, load_tokens
from otelgres.collector.security.tokens import (
    InvalidTokens,
    Token,
    TokenScope,
    expiry,
    new_token,
    read_tokens,
    write_tokens,
)

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
BOTH = [TokenScope.INGEST, TokenScope.READ]


def test_what_is_written_is_read_again() -> None:
    made = [
        new_token("orders", [TokenScope.INGEST], now=NOW, expires=NOW + timedelta(days=90), tenant="acme"),
        new_token("orders", BOTH, now=NOW),
        new_token("null", BOTH, now=NOW, tenant="12345"),
    ]
    tokens = [token for _, token in made]
    text = write_tokens(tokens)
    assert read_tokens(text) == tokens
    assert read_tokens("# nothing yet\n") == read_tokens(write_tokens([])) == []
    for shown, _ in made:
        assert shown.startswith("otg_")
        assert len(shown) == 47
        assert shown.removeprefix("otg_") not in text
    assert len({shown for shown, _ in made}) == 3


HASH = "ab" * 32


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "just text",
        "- text",
        f"- {{name: a, scopes: [ingest], sha256: {HASH}, more: 1}}",
        f"- {{scopes: [ingest], sha256: {HASH}}}",
        f"- {{name: 1, scopes: [ingest], sha256: {HASH}}}",
        f"- {{name: '', scopes: [ingest], sha256: {HASH}}}",
        f"- {{name: a, scopes: [admin], sha256: {HASH}}}",
        f"- {{name: a, scopes: [], sha256: {HASH}}}",
        f"- {{name: a, scopes: 5, sha256: {HASH}}}",
        "- {name: a, scopes: [ingest], sha256: abcd}",
        "- {name: a, scopes: [ingest], sha256: otg_in_the_clear}",
        f"- {{name: a, scopes: [ingest], sha256: {HASH}, tenant: 5}}",
        # Neither can be stored as the mark of a tenant.
        f"- {{name: a, scopes: [ingest], sha256: {HASH}, tenant: ''}}",
        f'- {{name: a, scopes: [ingest], sha256: {HASH}, tenant: "a\\0"}}',
        # An end that cannot be read must never mean "without end".
        f"- {{name: a, scopes: [ingest], sha256: {HASH}, expires: soon}}",
        f"- {{name: a, scopes: [ingest], sha256: {HASH}, expires: 90d}}",
        f"- {{name: a, scopes: [ingest], sha256: {HASH}, expires: 5}}",
        f"- {{name: a, scopes: [ingest], sha256: {HASH}}}\n- {{name: b, scopes: [ingest], sha256: {HASH}}}",
    ],
)
def test_what_is_no_list_of_tokens_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(InvalidTokens) as caught:
        read_tokens(text)
    assert HASH not in str(caught.value)
    assert "in_the_clear" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("90d", NOW + timedelta(days=90)),
        ("12h", NOW + timedelta(hours=12)),
        ("30m", NOW + timedelta(minutes=30)),
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T12:00:00+01:00", datetime(2027, 1, 31, 11, tzinfo=UTC)),
    ],
)
def test_ends(text: str, time: datetime) -> None:
    assert expiry(text, NOW) == time


@pytest.mark.parametrize("text", ["", "d", "-1d", "90", "soon", "9999999999d"])
def test_invalid_ends(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        expiry(text, NOW)


def _kept(path: Path) -> tuple[str, Token]:
    text, token = new_token("orders", BOTH, now=NOW)
    with changing(path) as tokens:
        tokens.append(token)
    return text, token


def test_the_file_is_private_and_must_stay_so(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    _, token = _kept(path)
    assert path.stat().st_mode & 0o777 == 0o600
    for mode in (0o640, 0o604, 0o660, 0o610):
        path.chmod(mode)
        with pytest.raises(TokensUnusable, match=f"chmod 600 {path}"):
            load_tokens(path)
        with pytest.raises(TokensUnusable, match="chmod 600"), changing(path):
            pass
    path.chmod(0o400)
    assert load_tokens(path) == [token]
    if os.geteuid() == 0:
        os.chown(path, 65534, -1)
        with pytest.raises(TokensUnusable, match="another user"):
            load_tokens(path)


def test_a_file_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(TokensUnusable, match="otelgres token new"):
        TokenFile(tmp_path / "nothing")
    with pytest.raises(TokensUnusable, match="cannot be read"):
        TokenFile(tmp_path)


def test_two_do_not_change_it_at_once(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    with changing(path), pytest.raises(TokensUnusable, match="being changed"), changing(path):
        pass


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    _, token = _kept(path)
    with pytest.raises(ZeroDivisionError), changing(path) as tokens:
        tokens[: 1 // 0] = []
    assert load_tokens(path) == [token]
    assert {file.name for file in tmp_path.iterdir()} == {"tokens.yaml", "tokens.yaml.lock"}


def test_changes_are_read_and_invalid_files_are_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "tokens.yaml"
    first, kept = _kept(path)
    now = 0.0
    file = TokenFile(path, clock=lambda: now)
    second, _ = _kept(path)
    assert file.find(second.encode()) is None, "looking at the file for every request would be a system call each"
    now = 2.0
    found = file.find(second.encode())
    assert found is not None
    assert found.principal.name == "orders"
    for slip in ("- nonsense", "a: ["):
        path.write_text(slip)
        now += 2
        assert file.find(first.encode()) == kept
    path.unlink()
    now += 2
    assert file.find(first.encode()) == kept
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 3
    path.touch(0o600)
    now += 2
    assert file.find(first.encode()) is None
    assert first not in caplog.text


def test_nothing_but_the_token_is_the_token(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    text, token = _kept(path)
    file = TokenFile(path)
    assert file.find(text.encode()) == token
    for other in (text[:-1], text + "A", text.swapcase(), text.removeprefix("otg_"), ""):
        assert file.find(other.encode()) is None
    assert file.find(token.digest) is None
    assert file.find(token.digest.hex().encode()) is None


def test_half_a_digest_is_not_enough(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    text, token = _kept(path)
    other = Token(token.principal, token.scopes, token.digest[:6] + bytes(26), NOW)
    with changing(path) as tokens:
        tokens[:] = [other]
    assert TokenFile(path).find(text.encode()) is None
