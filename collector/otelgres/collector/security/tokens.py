"""Creates, hashes, serialises and parses tokens. Does no input or output.

A token has 256 random bits, so SHA-256 is sufficient: it cannot be guessed, and the slow salted hashes that passwords
need would only add milliseconds to every request.
"""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import yaml

from otelgres.collector.security.principal import Principal

# Lets secret scanners and people recognise a token.
PREFIX: Final = "otg_"
_RANDOM_BYTES: Final = 32
ID_CHARACTERS: Final = 12
_KEYS: Final = {"name", "scopes", "sha256", "created", "expires", "tenant"}
_HEADER: Final = "# Hashed tokens of an otelgres receiver. Changed by `otelgres token`; the receiver reloads it.\n"
_SPANS: Final = {"d": 86400, "h": 3600, "m": 60}


class TokenScope(StrEnum):
    """What a token permits: sending telemetry, or reading the receiver's pages."""

    INGEST = "ingest"
    READ = "read"


class InvalidTokens(ValueError):  # noqa: N818 (named for what the operator is told)
    """The text is not a valid list of tokens; the message names the wrong entry without quoting it."""


@dataclass(frozen=True, slots=True)
class Token:
    """An entry of the list. ``digest`` is the SHA-256 of the token's text; times have a time zone."""

    principal: Principal
    scopes: frozenset[TokenScope]
    digest: bytes
    created: datetime
    expires: datetime | None = None

    @property
    def id(self) -> str:
        """The id for people: the beginning of the digest, which is not secret."""
        return self.digest.hex()[:ID_CHARACTERS]


def new_token(
    name: str,
    scopes: Iterable[TokenScope],
    *,
    now: datetime,
    expires: datetime | None = None,
    tenant: str | None = None,
) -> tuple[str, Token]:
    """The text of a new token, which is stored nowhere, and its entry."""
    text = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    return text, Token(Principal(name, tenant), frozenset(scopes), digest_of(text.encode()), now, expires)


def digest_of(shown: bytes) -> bytes:
    """The digest by which a token is stored."""
    return hashlib.sha256(shown).digest()


def read_tokens(text: str) -> list[Token]:
    """The tokens of a file's text. Raises InvalidTokens."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        # Without the error's text, which quotes the line.
        mark = getattr(error, "problem_mark", None)
        raise InvalidTokens(f"it is not valid YAML{f': see line {mark.line + 1}' if mark else ''}") from None
    if content is None:
        return []
    if not isinstance(content, list):
        raise InvalidTokens("it must be a list, as written by `otelgres token new`")
    tokens = [_token(entry, number) for number, entry in enumerate(content, 1)]
    if len({token.id for token in tokens}) != len(tokens):
        raise InvalidTokens("two entries have the same hash")
    return tokens


def write_tokens(tokens: Sequence[Token]) -> str:
    """The text of a file with these tokens."""
    entries: list[dict[str, Any]] = []
    for token in tokens:
        entry: dict[str, Any] = {
            "name": token.principal.name,
            "scopes": sorted(scope.value for scope in token.scopes),
            "sha256": token.digest.hex(),
            "created": token.created.isoformat(timespec="seconds"),
        }
        if token.expires is not None:
            entry["expires"] = token.expires.isoformat(timespec="seconds")
        if token.principal.tenant is not None:
            entry["tenant"] = token.principal.tenant
        entries.append(entry)
    return _HEADER + (yaml.safe_dump(entries, sort_keys=False, allow_unicode=True) if entries else "")


def expiry(text: str, now: datetime) -> datetime:
    """``90d``, ``12h``, ``30m`` from ``now``, or a date or time in ISO 8601 (default UTC). Raises ValueError."""
    if text[:-1].isdigit() and text[-1:] in _SPANS:
        try:
            return now + timedelta(seconds=int(text[:-1]) * _SPANS[text[-1]])
        except OverflowError:
            raise ValueError(f"{text} is too far in the future") from None
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _token(entry: Any, number: int) -> Token:
    where = f"entry {number}"
    if not isinstance(entry, dict) or not {"name", "scopes", "sha256"} <= set(entry) <= _KEYS:
        raise InvalidTokens(f"{where} must have name, scopes and sha256, and may only add created, expires and tenant")
    name, tenant = entry["name"], entry.get("tenant")
    if not isinstance(name, str) or not name or not isinstance(tenant, str | None):
        raise InvalidTokens(f"{where}: name and tenant must be text (use quotes)")
    if tenant is not None and (not tenant or "\0" in tenant):
        raise InvalidTokens(f"{where}: tenant must not be empty or contain U+0000")
    try:
        digest = bytes.fromhex(entry["sha256"])
        scopes = frozenset(TokenScope(scope) for scope in entry["scopes"])
        created = _time(entry.get("created")) or datetime.fromtimestamp(0, UTC)
        expires = _time(entry.get("expires"))
    except (TypeError, ValueError):
        digest, scopes = b"", frozenset()
    if len(digest) != hashlib.sha256().digest_size or not scopes:
        known = ", ".join(TokenScope)
        raise InvalidTokens(f"{where}: sha256 must be 64 hex digits, scopes a list of {known}, times ISO 8601")
    return Token(Principal(name, tenant), scopes, digest, created, expires)


def _time(value: Any) -> datetime | None:
    # YAML parses an unquoted value to a datetime or date.
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise TypeError(type(value).__name__)
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
