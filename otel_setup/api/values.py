"""Makes any Python value one that OTLP can carry, at the cost of nothing but the part that it cannot.

A lone surrogate, an integer past 64 bits or an object whose ``str()`` raises makes the SDK's encoder give up the
attribute at best and the whole batch at worst. Refuses to know which record a value belongs to.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
# Receivers parse protobuf to 100 messages deep. Seven of them are around the value of an event's attribute, and a
# mapping inside another takes three: one deeper value fails the whole request there. It also ends what contains itself.
DEPTH_LIMIT = 30


def text(value: object) -> str:
    """``str(value)`` as UTF-8 can hold it: lone surrogates become their escapes. Never raises."""
    try:
        string = value if type(value) is str else str(value)
    except Exception as error:  # noqa: BLE001 — whatever an application's __str__ raises costs this value only
        return f"<{type(value).__name__}: str() raised {type(error).__name__}>"
    if string.isascii():
        return string
    try:
        string.encode()
    except UnicodeEncodeError:
        return string.encode("utf-8", "backslashreplace").decode()
    return string


def clean(value: Any, depth: int = 0) -> Any:
    """``value`` itself when OTLP can carry it, else the nearest thing that it can. Never raises.

    Integers past 64 bits become hexadecimal text, sets become lists, anything that is not an attribute value its
    ``str()``. Containers are copied only where something in them changes.
    """
    kind = type(value)
    if kind is str:
        return value if value.isascii() else text(value)
    if value is None or kind is bool or kind is float or kind is bytes:
        return value
    if kind is int:
        # Decimal text of a huge integer is refused by Python itself past 4300 digits; hexadecimal is not.
        return value if INT64_MIN <= value <= INT64_MAX else hex(value)
    return _clean_other(value, depth)


def clean_mapping(mapping: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
    """A new dict of cleaned keys and values; an empty key is dropped, since attributes may not have one."""
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
    except Exception:  # noqa: BLE001 — a container or number that misbehaves is told by name
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
