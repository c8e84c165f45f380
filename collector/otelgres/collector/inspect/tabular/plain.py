"""Converts values of PostgreSQL types to JSON and text."""

import datetime
import uuid
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import orjson

_AS_TEXT = (uuid.UUID, IPv4Address, IPv6Address, IPv4Network, IPv6Network)


def plain(value: Any) -> Any:
    """A JSON value: times in ISO 8601, durations in seconds, bytes as hex, numbers exact if possible."""
    if isinstance(value, Decimal):
        # JSON has no NaN and Infinity; integers stay integers.
        if not value.is_finite():
            return str(value)
        return int(value) if value == value.to_integral_value() and abs(value) < 2**63 else float(value)
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, _AS_TEXT):
        return str(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


def as_json(value: Any) -> str:
    """A value as JSON text; integers beyond 64 bits, which JSON readers round, as strings."""
    try:
        return orjson.dumps(plain(value)).decode()
    except TypeError:
        return orjson.dumps(plain(value), default=str).decode()


def as_text(value: Any) -> str:
    """A value as the text of a cell: empty for NULL, JSON for nested values."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, dict | list | tuple):
        return as_json(value)
    return str(plain(value))
