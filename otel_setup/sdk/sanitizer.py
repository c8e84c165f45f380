"""Sanitizes the items of one export: repairs values that cannot be encoded, truncates large values.

Runs on the export thread, so that an invalid value never fails the whole batch. The pipeline redacts what is encoded.
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

# Values of these types are small.
_PLAIN: Final = frozenset({int, float, bool, type(None)})
_Attributes = Mapping[str, Any]
# Limits memory for applications that generate attribute names.
_REMEMBERED_NAMES: Final = 4096


class Sanitizer:
    """For one signal. ``attribute_bytes`` and ``body_bytes`` are the limits of one value in UTF-8."""

    def __init__(self, attribute_bytes: int, body_bytes: int, counts: Counts) -> None:
        self._attribute_bytes = attribute_bytes
        self._body_bytes = body_bytes
        self._counts = counts
        self._names: set[str] = set()
        self._truncated = 0

    def spans(self, spans: Sequence[ReadableSpan]) -> list[ReadableSpan]:
        """The same spans; each that needs a change is replaced by a copy."""
        try:
            return [self._span(span) for span in spans]
        finally:
            self._report()

    def logs(self, records: Sequence[ReadableLogRecord]) -> list[ReadableLogRecord]:
        """The same log records, changed in place, since each belongs to one exporter only."""
        try:
            return [self._log(record) for record in records]
        finally:
            self._report()

    def _span(self, span: ReadableSpan) -> ReadableSpan:
        scope = _scope(span.instrumentation_scope)
        given = attributes_of(span)
        attributes = self._attributes(given)
        description = text(span.status.description or "")
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
        """The same attributes if none needs a change, else a changed copy with the same count of dropped ones."""
        if not attributes:
            return attributes
        items: _Attributes = attributes
        known = self._names
        changed: dict[str, Any] | None = None
        for key, value in items.items():
            sound = key in known or self._is_sound(key)
            # Fast path: nearly every attribute has a known name and needs no change.
            fit = clean(value)
            if type(fit) not in _PLAIN:
                fit = self._value(fit, self._attribute_bytes)
            if changed is None:
                if fit is value and sound:
                    continue
                changed = _until(key, items)
            if name := text(key):
                changed[name] = fit
        if changed is None:
            return attributes
        return bounded_attributes(changed, getattr(attributes, "dropped", 0))

    def _is_sound(self, name: Any) -> bool:
        """Whether a name can be encoded as it is, cached because names repeat."""
        if not name or not _is_clean_text(name):
            return False
        if len(self._names) >= _REMEMBERED_NAMES:
            self._names.clear()
        self._names.add(name)
        return True

    def _value(self, value: Any, limit: int) -> Any:
        kind = type(value)
        if kind in _PLAIN:
            return value
        # UTF-8 has at most four bytes per character: a short text need not be measured.
        if kind is str and len(value) * 4 <= limit:
            return value
        cutter = Truncator(limit)
        fit = cutter.fit(value)
        self._truncated += cutter.cuts
        return fit

    def _report(self) -> None:
        if self._truncated:
            self._counts.changed("truncated", self._truncated)
        self._truncated = 0


def _until(name: Any, items: _Attributes) -> dict[str, Any]:
    return dict(itertools.takewhile(lambda item: item[0] is not name, items.items()))


def _is_clean_text(value: object) -> bool:
    return type(value) is str and (value.isascii() or text(value) is value)


def _scope(scope: InstrumentationScope | None) -> InstrumentationScope | None:
    if scope is None or (_is_clean_text(scope.name) and _is_clean_text(scope.version or "")):
        return scope
    return InstrumentationScope(text(scope.name), scope.version and text(scope.version), scope.schema_url)
