"""Attributes as jsonb. The bytes of each KeyValue are looked up in a bounded cache and parsed only on a miss.

Attributes repeat (method, route, host, thread), and a lookup costs a tenth of parsing. Repaired values are not cached,
so that every repair is counted.
"""

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from otelgres.exporters.postgres.codec.anyvalue import Repairs, key_value, pairs_json, plain_key
from otelgres.exporters.postgres.codec.limits import Limits, cut_pair

# 65,536 entries of at most 512 bytes: at worst 100 MB, about 15 MB in practice.
_ENTRIES: Final = 65_536
_LONGEST: Final = 512

# A key of these characters needs no JSON escaping and does not begin with $.
_SIMPLE_KEY: Final = re.compile(rb"[A-Za-z0-9_.\-/:]+").fullmatch

# Attributes that otel_setup adds to its spans and log records.
TYPE_KEY: Final = b'"otelgres.type"'
UID_KEY: Final = b'"log.record.uid"'
# The bytes before the 32 hex digits of a uid written by otel_setup.
_SDK_UID: Final = b"\x0a\x0elog.record.uid\x12\x22\x0a\x20"


class AttributeCache:
    """Maps KeyValue bytes to (key, ``key:value``), both JSON text. For one thread."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._shortest = self.limits.shortest
        self._most = self.limits.attributes or sys.maxsize
        self.outermost = self.limits.outermost
        self._known: dict[bytes, tuple[bytes, bytes]] = {}
        self._keys: dict[bytes, bytes] = {}
        self._nonplain_key = False
        self.get: Callable[[bytes], tuple[bytes, bytes] | None] = self._known.get

    def miss(self, raw: bytes, repairs: Repairs) -> tuple[bytes, bytes]:
        """Parses ``raw`` and caches the entry. Raises :class:`MalformedError`."""
        before = repairs.total()
        if len(raw) > self._shortest:
            raw = cut_pair(raw, self.limits, repairs)
            if repairs.total() != before:
                # Not cached, so that it is counted each time.
                key, value = key_value(raw, repairs, self.outermost)
                self._nonplain_key = self._nonplain_key or not plain_key(key)
                return key, key + b":" + value
        if raw[:20] == _SDK_UID and len(raw) == 52 and raw[20:].isalnum():
            # Every record of otel_setup has one: this saves a tenth of the cost of a record.
            return UID_KEY, UID_KEY + b':"' + raw[20:] + b'"'
        entry = self._plain(raw)
        if entry is None:
            key, value = key_value(raw, repairs, self.outermost)
            entry = (key, key + b":" + value)
            if not plain_key(key):
                self._nonplain_key = True
                return entry
            if repairs.total() != before or len(raw) > _LONGEST:
                return entry
        if entry[0] == UID_KEY:
            return entry  # different in every record: caching it would evict useful entries
        if len(self._known) >= _ENTRIES:
            # Clearing costs a few hundred misses; an LRU order would slow down every hit.
            self._known.clear()
        self._known[raw] = entry
        return entry

    def _plain(self, raw: bytes) -> tuple[bytes, bytes] | None:
        """The entry of a short key with a short text or int, read by offsets; None for everything else.

        Nearly every new attribute is one of these (an id, a path, a count); parsing with ``anyvalue`` costs five times
        as much.
        """
        size = len(raw)
        if size < 6 or size > 130 or raw[0] != 0x0A:
            return None
        at = raw[1] + 2
        # These offsets are valid only for lengths below 128, which take one byte.
        if at + 4 > size or raw[at] != 0x12 or raw[at + 1] != size - at - 2:
            return None
        tag = raw[at + 2]
        if tag == 0x0A:
            if raw[at + 3] != size - at - 4:
                return None
            text = raw[at + 4 :]
            if not text.isascii() or b"\0" in text:
                return None
            value = orjson.dumps(text.decode())
        elif tag == 0x18:
            value_int = shift = 0
            last = size - at - 4
            for index, byte in enumerate(raw[at + 3 :]):
                if (byte >= 0x80) is (index == last):
                    return None
                value_int |= (byte & 0x7F) << shift
                shift += 7
            if shift > 56:
                return None
            value = b"%d" % value_int
        else:
            return None
        raw_key = raw[2:at]
        key = self._keys.get(raw_key)
        if key is None:
            if not _SIMPLE_KEY(raw_key):
                return None
            key = b'"' + raw_key + b'"'
            if len(self._keys) < _ENTRIES:
                self._keys[raw_key] = key
        return key, key + b":" + value

    def object(self, raws: Sequence[bytes], repairs: Repairs) -> tuple[bytes, set[bytes]]:
        """KeyValues as (the JSON object, the set of its keys). Raises :class:`MalformedError`.

        For a duplicate key the object has the last value, and ``$kvlist`` beside it has all pairs in order.
        """
        if len(raws) > self._most:
            repairs["attributes_dropped"] += len(raws) - self._most
            raws = raws[: self._most]
        entries: list[Any] = [*map(self.get, raws)]
        if not entries:
            return b"{}", set()
        self._nonplain_key = False
        # all() takes a third of the time of `None in entries`, which compares each tuple with None.
        if not all(entries):
            for index, entry in enumerate(entries):
                if entry is None:
                    entries[index] = self.miss(raws[index], repairs)
        # zip and set run in C: half the time of two comprehensions.
        names, texts = zip(*entries, strict=True)
        keys = set(names)
        if len(keys) < len(entries) or self._nonplain_key:
            return self._exact(entries, repairs), keys
        joined = b",".join(texts)
        del entries, texts  # before another copy is made, which may be large
        return b"".join((b"{", joined, b"}")), keys

    @staticmethod
    def _exact(entries: list[tuple[bytes, bytes]], repairs: Repairs) -> bytes:
        pairs = [(key, text[len(key) + 1 :]) for key, text in entries]
        last = dict(pairs)
        if len(last) < len(pairs):
            repairs["duplicate_key"] += 1
        members = [key + b":" + value for key, value in last.items() if plain_key(key)]
        return b"{" + b",".join([*members, b'"$kvlist":' + pairs_json(pairs)]) + b"}"
