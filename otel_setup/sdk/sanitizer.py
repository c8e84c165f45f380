"""Makes the items of one export fit to leave: a poisoned field costs itself and never the batch around it, secrets are
replaced, giant values cut.

Works on what the SDK hands to an exporter, on the exporter's thread. Refuses to know transports.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Status

from otel_setup.api.values import clean, text
from otel_setup.export.stats import Counts
from otel_setup.sdk.truncation import Truncator
from otel_setup.sdk_adapter import (
    ReadableLogRecord,
    attributes_of,
    bounded_attributes,
    changed_span,
    rename_event,
    set_attributes,
)
from otelgres.exporters.redaction import REDACTED, Redaction

# Ours, written by ourselves: looking for secrets in them would be for nothing.
_OURS: Final = frozenset({"log.record.uid", "code.file.path", "code.function.name", "thread.name", "asyncio.task.name"})
# Values of these types hold no secret that could be told by its look, and are not large.
_PLAIN: Final = frozenset({int, float, bool, type(None)})
_Attributes = Mapping[str, Any]
# Kinds of attribute names: one that cannot go out, one of ours, one of a secret, any other.
_BAD, _OWN, _SECRET, _OPEN = "bad", "own", "secret", "open"
# An application that makes names up by the million must not fill the memory.
_REMEMBERED_NAMES: Final = 4096


class Sanitizer:
    """One signal's. ``attribute_bytes`` and ``body_bytes`` are what one value may have, in UTF-8."""

    def __init__(self, redaction: Redaction | None, attribute_bytes: int, body_bytes: int, counts: Counts) -> None:
        self._redaction = redaction
        self._attribute_bytes = attribute_bytes
        self._body_bytes = body_bytes
        self._counts = counts
        self._names: dict[Any, str] = {}
        self._redacted = 0
        self._truncated = 0

    def spans(self, spans: Sequence[ReadableSpan]) -> list[ReadableSpan]:
        """The same spans; one that must be changed is replaced by a changed copy."""
        try:
            return [self._span(span) for span in spans]
        finally:
            self._report()

    def logs(self, records: Sequence[ReadableLogRecord]) -> list[ReadableLogRecord]:
        """The same log records, changed in place where they must be: each belongs to one exporter alone."""
        try:
            return [self._log(record) for record in records]
        finally:
            self._report()

    def _span(self, span: ReadableSpan) -> ReadableSpan:
        scope = _scope(span.instrumentation_scope)
        given = attributes_of(span)
        attributes = self._attributes(given)
        description = self._text(span.status.description or "")
        sound = (
            _is_clean_text(span.name)
            and attributes is given
            and scope is span.instrumentation_scope
            and description is (span.status.description or "")
        )
        changed = span
        if not sound:
            status = Status(span.status.status_code, description) if span.status.description else span.status
            changed = changed_span(span, name=text(span.name), attributes=attributes, scope=scope, status=status)
        for event in changed.events:
            if not _is_clean_text(event.name):
                rename_event(event, text(event.name))
        parts: tuple[Any, ...] = (*changed.events, *changed.links)
        for part in parts:
            given = attributes_of(part)
            attributes = self._attributes(given)
            if attributes is not given:
                set_attributes(part, attributes)
        return changed

    def _log(self, readable: ReadableLogRecord) -> ReadableLogRecord:
        record = readable.log_record
        record.body = self._value(clean(record.body), self._body_bytes)
        record.attributes = self._attributes(record.attributes)
        for name in ("severity_text", "event_name"):
            value = getattr(record, name)
            if value is not None and not _is_clean_text(value):
                setattr(record, name, text(value))
        scope = _scope(readable.instrumentation_scope)
        if scope is readable.instrumentation_scope:
            return readable
        return ReadableLogRecord(record, readable.resource, scope, readable.limits)

    def _attributes(self, attributes: Any) -> Any:
        """The same attributes when all may go as they are, else a changed copy that keeps the count of dropped ones."""
        if not attributes:
            return attributes
        items: _Attributes = attributes
        known = self._names
        changed: dict[str, Any] | None = None
        for key, value in items.items():
            kind = known.get(key) or self._look_at(key)
            # Nearly every attribute of nearly every item has a known name and goes as it is.
            fit = clean(value) if kind is _OWN else self._attribute(kind, clean(value))
            if changed is None:
                if fit is value and kind is not _BAD:
                    continue
                changed = _until(key, items)
            if name := text(key):
                changed[name] = fit
        if changed is None:
            return attributes
        return bounded_attributes(changed, getattr(attributes, "dropped", 0))

    def _look_at(self, name: Any) -> str:
        """What kind of name it is. Names repeat, so each is looked at once."""
        if not name or not _is_clean_text(name):
            return _BAD
        if len(self._names) >= _REMEMBERED_NAMES:
            self._names.clear()
        secret = self._redaction is not None and self._redaction.hides(name)
        kind = _OWN if name in _OURS else _SECRET if secret else _OPEN
        self._names[name] = kind
        return kind

    def _attribute(self, kind: str, value: Any) -> Any:
        if kind is _SECRET and self._hide(value):
            return REDACTED
        return value if type(value) in _PLAIN else self._value(value, self._attribute_bytes)

    def _hide(self, value: Any) -> bool:
        # Whether there is a password is none; which one it is, is.
        if value is None or value is True or value is False:
            return False
        self._redacted += 1
        return True

    def _value(self, value: Any, limit: int) -> Any:
        kind = type(value)
        if kind is str:
            return self._cut_text(self._text(value) if len(value) <= limit else value, limit)
        if kind in _PLAIN:
            return value
        if self._redaction is not None:
            value = self._contents(value)
        cutter = Truncator(limit)
        fit = cutter.fit(value)
        self._truncated += cutter.cuts
        return fit

    def _cut_text(self, value: str, limit: int) -> str:
        # Four bytes a character at most: what is short is not measured.
        if len(value) * 4 <= limit:
            return value
        cutter = Truncator(limit)
        fit: str = cutter.fit(value)
        self._truncated += cutter.cuts
        # A giant is redacted after it is cut: looking through megabytes of it takes longer than sending them.
        return self._text(fit) if cutter.cuts else fit

    def _contents(self, value: Any) -> Any:
        """A container with what is secret inside replaced; itself if nothing is."""
        if type(value) is str:
            return self._text(value)
        if isinstance(value, Mapping):
            changed = {key: self._entry(key, item) for key, item in value.items()}
            return value if all(changed[key] is item for key, item in value.items()) else changed
        if isinstance(value, list | tuple):
            items = [self._contents(item) for item in value]
            return value if all(a is b for a, b in zip(value, items, strict=True)) else items
        return value

    def _entry(self, key: str, value: Any) -> Any:
        assert self._redaction is not None
        return REDACTED if self._redaction.hides(key) and self._hide(value) else self._contents(value)

    def _text(self, value: str) -> str:
        """``value`` as UTF-8 can hold it and without its secrets; itself if that changes nothing."""
        fit = value if _is_clean_text(value) else text(value)
        if self._redaction is not None:
            shown = self._redaction.text(fit)
            # An unchanged text comes back as itself; a pattern that met nothing to hide may have made an equal one.
            if shown is not fit and shown != fit:
                self._redacted += 1
                return shown
        return fit

    def _report(self) -> None:
        if self._redacted:
            self._counts.changed("redacted", self._redacted)
        if self._truncated:
            self._counts.changed("truncated", self._truncated)
        self._redacted = self._truncated = 0


def _until(name: Any, items: _Attributes) -> dict[str, Any]:
    return dict(itertools.takewhile(lambda item: item[0] is not name, items.items()))


def _is_clean_text(value: object) -> bool:
    return type(value) is str and (value.isascii() or text(value) is value)


def _scope(scope: InstrumentationScope | None) -> InstrumentationScope | None:
    if scope is None or (_is_clean_text(scope.name) and _is_clean_text(scope.version or "")):
        return scope
    return InstrumentationScope(text(scope.name), scope.version and text(scope.version), scope.schema_url)
