"""Converts any Python value to one that OTLP can encode, changing only the parts that it cannot.

For a lone surrogate, an integer beyond 64 bits or an object whose ``str()`` raises, the SDK's encoder drops the
attribute or fails the whole batch.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
# Protobuf parsers accept 100 nested messages and reject the whole request beyond. An event attribute starts at level
# seven, and each nested mapping takes three. The limit also ends containers that contain themselves.
DEPTH_LIMIT = 30


def text(value: object) -> str:
    """``str(value)`` as valid UTF-8: lone surrogates are escaped. Never raises."""
    try:
        string = value if type(value) is str else str(value)
    except Exception as error:  # noqa: BLE001 — an application's __str__ may raise anything
        return f"<{type(value).__name__}: str() raised {type(error).__name__}>"
    if string.isascii():
        return string
    try:
        string.encode()
    except UnicodeEncodeError:
        return string.encode("utf-8", "backslashreplace").decode()
    return string


def clean(value: Any, depth: int = 0) -> Any:
    """``value`` itself if OTLP can encode it, else the closest value that it can. Never raises.

    Integers beyond 64 bits become hexadecimal text, sets become lists, other objects their ``str()``. A container is
    copied only if something in it changes.
    """
    kind = type(value)
    if kind is str:
        return value if value.isascii() else text(value)
    if value is None or kind is bool or kind is float or kind is bytes:
        return value
    if kind is int:
        # Python limits decimal text of integers to 4300 digits; hexadecimal text has no limit.
        return value if INT64_MIN <= value <= INT64_MAX else hex(value)
    return _clean_other(value, depth)


def clean_mapping(mapping: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
    """A new dict of cleaned keys and values; empty keys are invalid in OTLP and dropped."""
    return {name: clean(value, depth) for key, value in mapping.items() if (name := text(key))}


def _clean_other(value: Any, depth: int) -> Any:
    try:
        if isinstance(value, str):
            return text(str.__str__(value))
        if isinstance(value, float):
            return float(value)
        if isinstance(value, int):
            return clean(int(value))
        if isinstance(value, bytearray | memoryview):
            return bytes(value)
        if isinstance(value, list | tuple | Mapping | AbstractSet):
            return _clean_container(value, depth)
    except Exception:  # noqa: BLE001 — a container or number may raise anything: its type name is kept
        return f"<{type(value).__name__}>"
    return text(value)


def _clean_container(value: Any, depth: int) -> Any:
    if depth >= DEPTH_LIMIT:
        return f"<{type(value).__name__} nested deeper than {DEPTH_LIMIT}>"
    if isinstance(value, Mapping):
        cleaned = clean_mapping(value, depth + 1)
        unchanged = len(cleaned) == len(value) and all(cleaned.get(key) is item for key, item in value.items())
        return value if unchanged and type(value) is dict else cleaned
    items = [clean(item, depth + 1) for item in value]
    unchanged = isinstance(value, list | tuple) and all(a is b for a, b in zip(value, items, strict=True))
    return value if unchanged else items
