"""Redacts every text of an OTLP request, found by its descriptors: a field of a newer release is redacted as well.

Works on opentelemetry-proto's messages and on those of ``raw_messages``, whose strings are bytes.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from otelgres.exporters.descriptors import is_repeated
from otelgres.exporters.redaction import Redaction
from otelgres.exporters.redaction_shapes import REDACTED

_ID: Final = "random bytes of a fixed length, by which rows are found and joined: a change would lose them"
# Fields of text or bytes that are not looked at, with the reason. All others are.
NOT_LOOKED_AT: Final = {
    "opentelemetry.proto.trace.v1.Span.trace_id": _ID,
    "opentelemetry.proto.trace.v1.Span.span_id": _ID,
    "opentelemetry.proto.trace.v1.Span.parent_span_id": _ID,
    "opentelemetry.proto.trace.v1.Span.Link.trace_id": _ID,
    "opentelemetry.proto.trace.v1.Span.Link.span_id": _ID,
    "opentelemetry.proto.logs.v1.LogRecord.trace_id": _ID,
    "opentelemetry.proto.logs.v1.LogRecord.span_id": _ID,
    "opentelemetry.proto.metrics.v1.Exemplar.trace_id": _ID,
    "opentelemetry.proto.metrics.v1.Exemplar.span_id": _ID,
}
_PAIR: Final = "opentelemetry.proto.common.v1.KeyValue"
_RESOURCE_ATTRIBUTES: Final = "opentelemetry.proto.resource.v1.Resource.attributes"
# Of a resource: whose rows these are. The receiver writes or checks it by the request's token.
_TENANT: Final = ("tenant.id", b"tenant.id")
# The natural key of a log record: two records whose keys became equal would be stored as one.
_UID: Final = "log.record.uid"
_HEX, _HEX_BYTES = re.compile("[0-9A-Fa-f-]{1,64}"), re.compile(b"[0-9A-Fa-f-]{1,64}")
# Kinds of attribute names.
_OPEN, _SECRET, _NATURAL_KEY = "open", "secret", "natural key"
_HIDDEN: Final = (REDACTED, REDACTED.encode())
_REMEMBERED: Final = 4096
_LONGEST_REMEMBERED: Final = 256
_Text = str | bytes
_Walk = Callable[[Any], None]


class MessageRedactor:
    """Redacts messages in place by ``rules``. Not thread-safe: it remembers attribute names.

    Values under the name of a secret are replaced as a whole, except booleans: whether a secret is set is not secret.
    In all other texts, attribute names too, what looks like a secret is replaced. Fields that opentelemetry-proto does
    not know are dropped, because nothing can be said about them; in one request they count as one change.
    """

    def __init__(self, rules: Redaction) -> None:
        self._rules = rules
        self._walks: dict[str, _Walk | None] = {}
        # The kind of a key, and the key as it is shown.
        self._keys: dict[_Text, tuple[str, _Text]] = {}
        self._clean: set[_Text] = set()
        self._count = 0

    def redact(self, message: Any) -> int:
        """Changes ``message`` and returns the number of changes."""
        size = message.ByteSize()
        message.DiscardUnknownFields()
        self._count = int(message.ByteSize() != size)
        walk = self._walk(message.DESCRIPTOR)
        if walk is not None:
            walk(message)
        return self._count

    def _walk(self, descriptor: Any) -> _Walk | None:
        """What redacts messages of this type; None if no text is in them."""
        name = descriptor.full_name
        if name not in self._walks:
            # A type may contain itself: until its walk is complete, this looks it up when it is used.
            self._walks[name] = lambda message: (self._walks[name] or _nothing)(message)
            steps = {field.name: step for field in descriptor.fields if (step := self._step(field)) is not None}
            if name == _PAIR:
                value = self._walk(descriptor.fields_by_name["value"].message_type)
                self._walks[name] = self._pair(steps, value or _nothing)
            elif len(descriptor.oneofs) == 1 and len(descriptor.oneofs[0].fields) == len(descriptor.fields):
                self._walks[name] = _one_of(descriptor.oneofs[0].name, steps)
            else:
                self._walks[name] = _in_turn(tuple(steps.values())) if steps else None
        return self._walks[name]

    def _step(self, field: Any) -> _Walk | None:
        """What redacts this field of a message; None if no text is in it."""
        if field.full_name in NOT_LOOKED_AT:
            return None
        name, repeated = field.name, is_repeated(field)
        if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
            return partial(self._texts if repeated else self._text, name)
        walk = self._walk(field.message_type) if field.message_type is not None else None
        if walk is None:
            return None
        if repeated:
            each = _without_tenant(walk) if field.full_name == _RESOURCE_ATTRIBUTES else walk
            return _for_each(name, each)
        return _if_set(name, walk)

    def _pair(self, steps: dict[str, _Walk], value: _Walk) -> _Walk:
        """Attributes, and the entries of a map. ``value`` is what redacts their values."""
        keys = self._keys
        others = tuple(step for name, step in steps.items() if name not in ("key", "value"))

        def walk(pair: Any) -> None:
            key = pair.key
            kind, shown = keys.get(key) or self._key(key)
            if shown is not key and shown != key:
                pair.key = shown
                self._count += 1
            if kind == _SECRET:
                self._hide(pair.value)
            elif kind == _OPEN or not _is_uid(pair.value):
                value(pair.value)
            for step in others:
                step(pair)

        return walk

    def _key(self, key: _Text) -> tuple[str, _Text]:
        name = key if isinstance(key, str) else key.decode("utf-8", "replace")
        kind = _SECRET if self._rules.hides(name) else _NATURAL_KEY if name == _UID else _OPEN
        known = kind, self._rules.text(key) if isinstance(key, str) else self._rules.bytes(key)
        if len(key) <= _LONGEST_REMEMBERED:
            if len(self._keys) >= _REMEMBERED:
                self._keys.clear()
            self._keys[key] = known
        return known

    def _hide(self, value: Any) -> None:
        kind = value.WhichOneof("value")
        if kind is None or kind == "bool_value" or value.string_value in _HIDDEN:
            return
        value.string_value = REDACTED if isinstance(value.string_value, str) else REDACTED.encode()
        self._count += 1

    def _text(self, name: str, message: Any) -> None:
        before = getattr(message, name)
        if before in self._clean or not before:
            return
        after = self._shown(before)
        if after is not before:
            setattr(message, name, after)

    def _texts(self, name: str, message: Any) -> None:
        texts = getattr(message, name)
        for place, before in enumerate(texts):
            after = self._shown(before)
            if after is not before:
                texts[place] = after

    def _shown(self, before: _Text) -> _Text:
        """The text without secrets; itself if it has none, which is remembered: texts repeat."""
        after = self._rules.text(before) if isinstance(before, str) else self._rules.bytes(before)
        if after != before:
            self._count += 1
            return after
        if len(before) <= _LONGEST_REMEMBERED:
            if len(self._clean) >= _REMEMBERED:
                self._clean.clear()
            self._clean.add(before)
        return before


def _is_uid(value: Any) -> bool:
    text = value.string_value
    return (_HEX if isinstance(text, str) else _HEX_BYTES).fullmatch(text) is not None


def _nothing(_message: Any) -> None:
    return


def _in_turn(steps: tuple[_Walk, ...]) -> _Walk:
    if len(steps) == 1:
        return steps[0]

    def walk(message: Any) -> None:
        for step in steps:
            step(message)

    return walk


def _one_of(oneof: str, steps: dict[str, _Walk]) -> _Walk | None:
    def walk(message: Any) -> None:
        step = steps.get(message.WhichOneof(oneof))
        if step is not None:
            step(message)

    return walk if steps else None


def _for_each(name: str, walk: _Walk) -> _Walk:
    def step(message: Any) -> None:
        for one in getattr(message, name):
            walk(one)

    return step


def _if_set(name: str, walk: _Walk) -> _Walk:
    def step(message: Any) -> None:
        if message.HasField(name):
            walk(getattr(message, name))

    return step


def _without_tenant(walk: _Walk) -> _Walk:
    def each(pair: Any) -> None:
        if pair.key not in _TENANT:
            walk(pair)

    return each
