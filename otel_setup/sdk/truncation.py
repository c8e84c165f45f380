"""Cuts one value to a size, so that a giant costs itself and not the request it is in. Refuses to know whose value."""

from collections.abc import Mapping
from typing import Any, Final

# What an entry takes beside its text: tags and lengths in OTLP.
_OVERHEAD: Final = 8
_NAMED: Final = "otelgres.truncated"
# Kept free for the marker, so that a text that was cut fits the next time.
_MARKER_ROOM: Final = 48


class Truncator:
    """For one value: ``fit`` it, then ask how many ``cuts`` that took. The limit is bytes of UTF-8."""

    def __init__(self, limit: int) -> None:
        self._room = limit
        self.cuts = 0

    def fit(self, value: Any) -> Any:
        """``value`` itself if it fits, else as much of it as does, with a marker where something is missing."""
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
            # Encoded only as far as there can be room: a character is one byte at least.
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
