"""Redaction of passwords, tokens, keys and card numbers, by attribute name and by pattern.

Works on one value at a time. It recognises the usual names and formats and is no guarantee against leaks.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from otelgres.exporters.redaction_shapes import CARD, CARD_START, REDACTED, SHAPES

# Names repeat, so the result for each is cached. Bounded: an application may generate names without end.
_REMEMBERED_NAMES: Final = 4096
_LONGEST_REMEMBERED: Final = 256

# As a word anywhere in a name: user.password, password_hash, http.request.header.cookie.
_ANYWHERE: Final = (
    r"passw(?:or)?d|passphrase|pwd|passcode|secrets?|credentials?|authorization|cookies?|cvv2?|cvc2?|ssn"
    r"|(?:api|access|secret|private|signing|encryption|account)[_.]?key|connection[_.]?string"
    r"|card[_.]?(?:number|no|num|pin)|pin[_.]?(?:code|number|block)"
)
# Only at the end of a name: auth.token, but not token.count or gen_ai.usage.output_tokens.
_AT_THE_END: Final = r"token|jwt|otp|api_?token|bearer"
_NAME: Final = re.compile(rf"(?:^|[_.])(?:{_ANYWHERE})(?:[_.]|$)|(?:^|[_.])(?:{_AT_THE_END})$")
# What is said about a secret: aws.secretsmanager.secret.arn, password.length.
_ABOUT: Final = re.compile(r"[_.](?:arn|count|length|size)$")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATORS: Final = re.compile(r"[^a-z0-9.]+")

_SHORTEST: Final = 8


class Redaction:
    """The redaction rules: the defaults, unless switched off, and those of the caller."""

    def __init__(
        self, names: Iterable[re.Pattern[str]] = (), values: Iterable[re.Pattern[str]] = (), *, defaults: bool = True
    ) -> None:
        self._own_names = tuple(names)
        self._own_values = tuple(values)
        self._defaults = defaults
        self._shapes = tuple((shape.needles, shape) for shape in SHAPES) if defaults else ()
        self._cards = defaults
        self._names: dict[str, bool] = {}

    def hides(self, name: str) -> bool:
        """Whether every value of an attribute with this name is a secret."""
        known = self._names.get(name)
        if known is None:
            known = self._looks_secret(name)
            if len(name) <= _LONGEST_REMEMBERED:
                if len(self._names) >= _REMEMBERED_NAMES:
                    self._names.clear()
                self._names[name] = known
        return known

    def text(self, text: str) -> str:
        """``text`` with its secrets replaced."""
        if len(text) < _SHORTEST:
            return text
        if self._shapes:
            lower = text.lower()
            for needles, shape in self._shapes:
                for needle in needles:
                    if needle in lower:
                        text = shape.pattern.sub(shape.replace, text)
                        break
        if self._cards and CARD_START.search(text):
            text = CARD.pattern.sub(CARD.replace, text)
        for pattern in self._own_values:
            text = pattern.sub(REDACTED, text)
        return text

    def bytes(self, data: bytes) -> bytes:
        """``data``, read as UTF-8 or else as Latin-1, with its secrets replaced."""
        if len(data) < _SHORTEST:
            return data
        try:
            text, encoding = data.decode(), "utf-8"
        except UnicodeDecodeError:
            text, encoding = data.decode("latin-1"), "latin-1"
        shown = self.text(text)
        return data if shown == text else shown.encode(encoding)

    def _looks_secret(self, name: str) -> bool:
        if any(pattern.search(name) for pattern in self._own_names):
            return True
        plain = _SEPARATORS.sub("_", _CAMEL.sub("_", name).lower())
        return self._defaults and _NAME.search(plain) is not None and _ABOUT.search(plain) is None


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
