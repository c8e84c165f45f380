"""Redaction of passwords, tokens, keys and card numbers, by attribute name and by pattern.

Works on one value at a time. It recognises the usual names and formats and is no guarantee against leaks.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

REDACTED: Final = "[redacted]"
# Names repeat, so the result for each is cached. Bounded: an application may generate names without end.
_REMEMBERED_NAMES: Final = 4096

# As a word anywhere in a name: user.password, password_hash, http.request.header.cookie.
_ANYWHERE: Final = (
    r"passw(?:or)?d|passphrase|pwd|passcode|secrets?|credentials?|authorization|cookies?|cvv2?|cvc2?|ssn"
    r"|(?:api|access|secret|private|signing|encryption|account)[_.]?key|connection[_.]?string"
    r"|card[_.]?(?:number|no|num|pin)|pin[_.]?(?:code|number|block)"
)
# Only at the end of a name: auth.token, but not token.count or gen_ai.usage.output_tokens.
_AT_THE_END: Final = r"token|jwt|otp|api_?token|bearer"
_NAME: Final = re.compile(rf"(?:^|[_.])(?:{_ANYWHERE})(?:[_.]|$)|(?:^|[_.])(?:{_AT_THE_END})$")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATORS: Final = re.compile(r"[^a-z0-9.]+")

_ASSIGNED: Final = (
    r"passw(?:or)?d|passphrase|pwd|secret|token|(?:api|access|secret|private|account)[_-]?key"
    r"|x-amz-(?:signature|credential|security-token)"
)
# (substrings of the lower-cased text, one of which must occur before the pattern is tried; pattern). Group 1 is kept.
# Every pattern must take linear time for any text: no repetition starts inside a run that it repeats.
_SHAPES: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("authorization",), r"(authorization[\"']?\s*[:=]\s*[\"']?(?:[a-z]+\s+)?)[^\s\"',;]+"),
    (("bearer",), r"(bearer\s+)(?=[^\s\"',;]*[\d.]|[^\s\"',;]{16})[\w.~+/=-]{8,}"),
    (
        ("pass", "pwd", "secret", "token", "key", "x-amz-"),
        rf"((?:^|[^a-z])(?:[a-z]+[_-])?(?:{_ASSIGNED})[\"']?\s*[=:]\s*)(?!\[redacted\])(?:\"[^\"]*\"|'[^']*'|[^\s\"',;&)}}\]]+)",
    ),
    (("sig",), r"([?&](?:sig|signature)=)[^\s&\"']+"),
    (("://",), r"(://[^\s/:@\"']*:)[^\s/@\"']+(?=@)"),
    (("eyj",), r"()(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),
    (("akia", "asia"), r"()\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    (("gh", "github_pat_"), r"()(?<![\w-])(?:gh[pousr]_[0-9A-Za-z]{36,}|github_pat_\w{22,})"),
    (("sk-", "sk_", "xox"), r"()(?<![\w-])(?:sk[-_][\w-]{20,}|xox[abprs]-[\w-]{10,})"),
    (("private key",), r"()-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
)
# Visa, Mastercard, American Express, Discover, JCB and Diners Club, unformatted or grouped as on the card.
_CARD: Final = re.compile(
    r"(?<![\w.-])(?:"
    r"(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6011|64[4-9]\d|65\d{2}|35[2-8]\d)(?P<gap>[ -]?)\d{4}(?P=gap)\d{4}(?P=gap)\d{4}"
    r"|3[47]\d{2}(?P<amex>[ -]?)\d{6}(?P=amex)\d{5}|3(?:0[0-5]|[68]\d)\d{11}|4\d{12}|4\d{18}"
    r")(?![\w-])"
)
_CARD_START: Final = re.compile(r"[2-6]\d{3}[ -]?\d{4}")
_SHORTEST: Final = 8


class Redaction:
    """The redaction rules: the defaults, unless switched off, and those of the caller."""

    def __init__(
        self, names: Iterable[re.Pattern[str]] = (), values: Iterable[re.Pattern[str]] = (), *, defaults: bool = True
    ) -> None:
        self._own_names = tuple(names)
        self._own_values = tuple(values)
        self._defaults = defaults
        self._shapes = [
            (needles, re.compile(shape, re.IGNORECASE if shape[:2] != "()" else re.DOTALL))
            for needles, shape in _SHAPES
        ]
        self._names: dict[str, bool] = {}

    def hides(self, name: str) -> bool:
        """Whether every value of an attribute with this name is a secret."""
        known = self._names.get(name)
        if known is None:
            if len(self._names) >= _REMEMBERED_NAMES:
                self._names.clear()
            known = self._names[name] = self._looks_secret(name)
        return known

    def text(self, text: str) -> str:
        """``text`` with its secrets replaced."""
        if len(text) < _SHORTEST:
            return text
        if self._defaults:
            text = self._default_text(text)
        for pattern in self._own_values:
            text = pattern.sub(REDACTED, text)
        return text

    def _default_text(self, text: str) -> str:
        lower = text.lower()
        for needles, shape in self._shapes:
            for needle in needles:
                if needle in lower:
                    text = shape.sub(_keep_prefix, text)
                    break
        if _CARD_START.search(text):
            text = _CARD.sub(_hide_card, text)
        return text

    def _looks_secret(self, name: str) -> bool:
        if any(pattern.search(name) for pattern in self._own_names):
            return True
        return self._defaults and bool(_NAME.search(_SEPARATORS.sub("_", _CAMEL.sub("_", name).lower())))


def rules(given: Mapping[Any, Any]) -> Redaction:
    """Rules from ``{"keys": [regex, …], "values": [regex, …], "defaults": bool}``. Raises ValueError if invalid."""
    unknown = set(given) - {"keys", "values", "defaults"}
    if unknown:
        raise ValueError(f"unknown rules {sorted(map(str, unknown))}; known are keys, values and defaults")
    return Redaction(_patterns(given, "keys"), _patterns(given, "values"), defaults=bool(given.get("defaults", True)))


def _patterns(given: Mapping[Any, Any], name: str) -> list[re.Pattern[str]]:
    patterns = given.get(name, ())
    if isinstance(patterns, str | re.Pattern):
        patterns = (patterns,)
    try:
        return [re.compile(pattern) for pattern in patterns]
    except (re.error, TypeError) as error:
        raise ValueError(f"{name}: {error}") from error


def _keep_prefix(found: re.Match[str]) -> str:
    return found[1] + REDACTED


def _hide_card(found: re.Match[str]) -> str:
    digits = [int(character) for character in found[0] if character.isdigit()]
    doubled = sum(digits[-1::-2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return found[0] if doubled % 10 else REDACTED
