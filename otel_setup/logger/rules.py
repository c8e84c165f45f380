"""The rule for each key of the configuration, in one table, and the warnings for invalid values.

No I/O and no errors: an invalid value takes its default and adds a warning.
"""

import difflib
import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from otel_setup.api.values import text

FORMAT: Final = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Rule:
    """``check`` returns the value to use or raises ValueError. ``secret``: the value never appears in a warning."""

    allowed: str
    default: Any
    check: Callable[[Any], Any]
    secret: bool = False


def _require(condition: object) -> None:
    if not condition:
        raise ValueError


def _switch(default: bool) -> Rule:
    def check(value: Any) -> bool:
        _require(isinstance(value, bool))
        return bool(value)

    return Rule("true or false", default, check)


def _whole(least: int, most: int, default: int | None) -> Rule:
    def check(value: Any) -> int:
        _require(type(value) is int and least <= value <= most)
        return int(value)

    return Rule(f"a whole number from {least} to {most}", default, check)


def _seconds(least: float, most: float, default: float) -> Rule:
    def check(value: Any) -> float:
        _require(type(value) in (int, float) and math.isfinite(value) and least <= value <= most)
        return float(value)

    return Rule(f"a number of seconds from {least:g} to {most:g}", default, check)


def _text(allowed: str = "text", default: str | None = None, *, secret: bool = False) -> Rule:
    def check(value: Any) -> str:
        _require(isinstance(value, str) and value.strip() and "\0" not in value)
        return str(value)

    return Rule(allowed, default, check, secret)


def level(value: Any) -> int:
    """The number of the level named ``value``. Raises ValueError."""
    found = logging.getLevelNamesMapping().get(value.strip().upper()) if isinstance(value, str) else None
    _require(found is not None)
    return int(found or 0)


def _format(value: Any) -> str:
    _require(isinstance(value, str))
    logging.Formatter(value).format(logging.LogRecord("n", logging.INFO, "p", 1, "m", (), None))
    return str(value)


def _prefix(value: Any) -> str:
    _require(isinstance(value, str) and re.fullmatch("[a-z_][a-z0-9_]{0,57}", value))
    return str(value)


LEVELS: Final = "a level: DEBUG, INFO, WARNING, ERROR or CRITICAL"
_FORMATS: Final = "a format of Python's logging, such as '%(asctime)s - %(message)s'"
DATABASE_BLOCK: Final = (
    "a mapping of host, port, username, password, database and table_prefix, or dsn and table_prefix"
)

LOGGING: Final[Mapping[str, Rule]] = {"level": Rule(LEVELS, logging.DEBUG, level)}
SECTIONS: Final[Mapping[str, Mapping[str, Rule]]] = {
    "database": {
        "enabled": _switch(True),
        "retention_days": _whole(0, 36_500, 365),
        "batch_size": _whole(1, 10_000, 50),
        "flush_interval": _seconds(0.05, 3600, 5.0),
        "queue_size": _whole(1, 1_000_000, 10_000),
        "retry_attempts": _whole(0, 100, 5),
        "connect_timeout": _whole(1, 300, 10),
        "query_timeout": _seconds(1, 3600, 30.0),
        "endpoint": _text("the address of a collector: http://host:port or https://host:port"),
        "spool": _text("a directory"),
    },
    "console": {"enabled": _switch(True), "format": Rule(_FORMATS, FORMAT, _format)},
    "file": {
        "enabled": _switch(False),
        "path": _text("the path of a file", "logs/app.log"),
        "max_bytes": _whole(1024, 2**40, 10 * 1024 * 1024),
        "backups": _whole(0, 10_000, 5),
        "format": Rule(_FORMATS, FORMAT, _format),
    },
}
DATABASE: Final[Mapping[str, Rule]] = {
    "dsn": _text("a libpq URI (postgresql://…) or key/value string", secret=True),
    "host": _text("a host name, an address or the directory of a socket", "localhost"),
    "port": _whole(1, 65_535, 5432),
    "username": _text("the name of a role"),
    "password": _text("text (a number needs quotes)", secret=True),
    "database": _text("the name of a database"),
    "table_prefix": Rule("1 to 58 lower-case letters, digits and underscores, no digit first", "app", _prefix),
}


def take(
    block: Any, place: str, rules: Mapping[str, Rule], warnings: list[str], more: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The value for each rule from ``block``, whose key is ``place``; ``more`` are valid keys read elsewhere."""
    found = {key: rule.default for key, rule in rules.items()}
    if block is None:
        return found
    if not isinstance(block, Mapping):
        warnings.append(
            f"{place} is {_kind(block)}; it must be a mapping of {_names([*rules, *more])}: the defaults are used"
        )
        return found
    for key, value in block.items():
        if key in rules:
            _put(found, key, value, f"{place}.{key}", rules[key], warnings)
        elif key not in more:
            warnings.append(unknown(f"{place}.{text(key)}", key, [*rules, *more]))
    return found


def unknown(place: str, key: Any, known: list[str]) -> str:
    """The warning for an unknown key."""
    close = difflib.get_close_matches(text(key), known, 1)
    meant = f"did you mean {close[0]}? " if close else ""
    return f"{place} is unknown and ignored: {meant}valid keys are {_names(known)}"


def wrong(place: str, value: Any, rule: Rule) -> str:
    """The warning for an invalid value."""
    shown = _kind(value) if rule.secret else _shown(value)
    instead = "it is ignored" if rule.default is None else f"the default {_default(rule)} is used"
    return f"{place} is {shown}; it must be {rule.allowed}: {instead}"


def _put(found: dict[str, Any], key: str, value: Any, place: str, rule: Rule, warnings: list[str]) -> None:
    if value is None and rule.default is None:
        return
    try:
        found[key] = rule.check(value)
    except Exception:  # noqa: BLE001 — a format string, for example, may raise anything
        warnings.append(wrong(place, value, rule))


def _default(rule: Rule) -> str:
    if rule.allowed == LEVELS:
        return str(logging.getLevelName(rule.default))
    return repr(rule.default) if isinstance(rule.default, str) else str(rule.default).lower()


def _names(keys: list[str]) -> str:
    return f"{', '.join(keys[:-1])} and {keys[-1]}" if len(keys) > 1 else keys[0]


def _kind(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return (
        "a mapping"
        if isinstance(value, Mapping)
        else "a list"
        if isinstance(value, list | tuple)
        else f"a {type(value).__name__}"
    )


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f"{value[:_SHOWN]!r} (text)"
    if isinstance(value, bool):
        return str(value).lower()
    return text(value) if isinstance(value, int | float) else _kind(value)
