"""Truncates one value to a size limit, so that a large value does not fail its request."""

from collections.abc import Mapping
from typing import Any, Final

# Bytes per entry for tags and lengths in OTLP.
_OVERHEAD: Final = 8
_NAMED: Final = "otelgres.truncated"
# Reserved for the marker, so that a truncated text fits if it is truncated again.
_MARKER_ROOM: Final = 48


class Truncator:
    """For one value: call ``fit``, then read ``cuts``, the number of truncated parts. The limit is bytes of UTF-8."""

    def __init__(self, limit: int) -> None:
        self._room = limit
        self.cuts = 0

    def fit(self, value: Any) -> Any:
        """``value`` itself if it fits, else a shortened copy with a marker where something is missing."""
        kind = type(value)
        if kind is str:
            return self._text(value)
        if kind is bytes:
            return self._bytes(value)
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, list | tuple):
            return self._list(value)
        self._room -= _OVERHEAD
        return value

    def _text(self, value: str) -> str:
        size = len(value)
        if size * 4 > self._room:
            # A character has at least one byte: more than this cannot fit.
            encoded = value[: max(0, self._room) + 1].encode("utf-8", "replace")
            if len(encoded) > self._room or size > self._room:
                self.cuts += 1
                kept = encoded[: max(0, self._room - _MARKER_ROOM)].decode("utf-8", "ignore")
                self._room = 0
                return f"{kept}…[truncated, {size} characters]"
            size = len(encoded)
        self._room -= size + _OVERHEAD
        return value

    def _bytes(self, value: bytes) -> bytes:
        if len(value) <= self._room:
            self._room -= len(value) + _OVERHEAD
            return value
        self.cuts += 1
        kept = value[: max(0, self._room)]
        self._room = 0
        return kept

    def _mapping(self, value: Mapping[str, Any]) -> Any:
        kept: dict[str, Any] = {}
        same = True
        for key, item in value.items():
            if self._room <= 0:
                self.cuts += 1
                kept[_NAMED] = f"{len(value) - len(kept)} of {len(value)} entries"
                return kept
            self._room -= len(key)
            kept[key] = self.fit(item)
            same = same and kept[key] is item
        return value if same else kept

    def _list(self, value: Any) -> Any:
        kept: list[Any] = []
        same = True
        for item in value:
            if self._room <= 0:
                self.cuts += 1
                kept.append(f"…[truncated, {len(value) - len(kept)} of {len(value)} entries]")
                return kept
            kept.append(self.fit(item))
            same = same and kept[-1] is item
        return value if same else kept
