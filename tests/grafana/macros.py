"""Grafana's PostgreSQL macros and variables, expanded as its documentation and source say. Knows no dashboard.

An argument of a macro ends at the first closing parenthesis and is split at commas: nothing that has either may stand
in one. Only variables that may hold several values are quoted unasked.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

_MACRO: Final = re.compile(r"\$(__[a-zA-Z]+)\(([^)]*)\)")
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)")
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Unknown(ValueError):  # noqa: N818 (what Grafana says)
    """A macro or variable that Grafana does not know."""


def expand(
    sql: str, since: datetime, until: datetime, interval: str, variables: Mapping[str, str | Sequence[str]]
) -> str:
    """The statement that reaches PostgreSQL. Lists are values of variables that may hold several."""
    text = sql.replace("$__interval_ms", str(int(_seconds(interval) * 1000))).replace("$__interval", interval)
    # A group that is followed by a comma is given a name of its own.
    text = re.sub(r"\$__timeGroup\(([^)]*)\)\s*,", r"$__timeGroupAlias(\1),", text)
    text = _MACRO.sub(lambda found: _macro(found[1], [one.strip() for one in found[2].split(",")], since, until), text)
    return _VARIABLE.sub(lambda found: _variable(found[1] or found[3], found[2], variables), text)


def _macro(name: str, arguments: list[str], since: datetime, until: datetime) -> str:
    column = arguments[0]
    match name:
        case "__time":
            return f'{column} AS "time"'
        case "__timeEpoch":
            return f'extract(epoch from {column}) as "time"'
        case "__timeFilter":
            return f"{column} BETWEEN '{_rfc3339(since)}' AND '{_rfc3339(until)}'"
        case "__timeFrom":
            return f"'{_rfc3339(since)}'"
        case "__timeTo":
            return f"'{_rfc3339(until)}'"
        case "__timeGroup" | "__timeGroupAlias":
            seconds = _seconds(arguments[1].strip("'"))
            group = f"floor(extract(epoch from {column})/{seconds:g})*{seconds:g}"
            return group + (' AS "time"' if name.endswith("Alias") else "")
    raise Unknown(f"unknown macro ${name}")


def _variable(name: str, form: str | None, variables: Mapping[str, str | Sequence[str]]) -> str:
    if name not in variables:
        raise Unknown(f"unknown variable ${name}")
    value = variables[name]
    if form == "sqlstring":
        return ",".join(map(_quoted, [value] if isinstance(value, str) else value))
    if form is not None:
        raise Unknown(f"unknown form {form}")
    return value if isinstance(value, str) else ",".join(map(_quoted, value))


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _seconds(interval: str) -> float:
    found = re.fullmatch(r"(\d+)(ms|s|m|h|d)", interval)
    if not found:
        raise Unknown(f"no interval: {interval}")
    return int(found[1]) * _UNITS[found[2]]
