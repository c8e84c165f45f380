"""How many repairs of which kind a request needs, told from the request alone.

What PostgreSQL cannot hold: U+0000 and what is not UTF-8 in text, numbers without a JSON form, a key twice in one map,
unsigned numbers past a bigint, times without a partition, ids of the wrong form.
"""

import math
import time
from collections import Counter
from typing import Any, Final

from otelgres.exporters.batch import Signal
from tests import otlp_raw as raw

_MAX: Final = 2**63 - 1
_DAY: Final = 86_400_000_000_000


def in_items(request: Any) -> Counter[str]:
    """Repairs in spans, records and points; ``attributes`` of points belong to their series."""
    found: Counter[str] = Counter()
    for resource in raw.resources(request):
        for scope in raw.scopes(request, resource):
            match raw.signal_of(request):
                case Signal.TRACES:
                    for span in scope.spans:
                        found += _span(span)
                case Signal.LOGS:
                    for record in scope.log_records:
                        found += _record(record)
                case Signal.METRICS:
                    for metric in scope.metrics:
                        for point in raw.points(metric):
                            found += _point(point)
    return found


def in_dimensions(request: Any) -> Counter[str]:
    """Repairs in resources, scopes, metrics and series, each as often as it is named."""
    found: Counter[str] = Counter()
    for resource in raw.resources(request):
        found += _strings(resource.schema_url) + key_values(resource.resource.attributes)
        for ref in resource.resource.entity_refs:
            found += _strings(ref.schema_url, ref.type, *ref.id_keys, *ref.description_keys)
        for scope in raw.scopes(request, resource):
            found += _strings(scope.schema_url, scope.scope.name, scope.scope.version)
            found += key_values(scope.scope.attributes)
            for metric in getattr(scope, "metrics", []):
                found += _strings(metric.name, metric.description, metric.unit) + key_values(metric.metadata)
                for point in raw.points(metric):
                    found += key_values(point.attributes)
    return found


def key_values(items: Any) -> Counter[str]:
    """Repairs in a list of KeyValues."""
    found: Counter[str] = Counter()
    for item in items:
        found += _strings(item.key) + any_value(item.value)
    if len({item.key for item in items}) < len(items):
        found["duplicate_key"] += 1
    return found


def any_value(value: Any) -> Counter[str]:
    """Repairs in an AnyValue."""
    match value.WhichOneof("value"):
        case "string_value":
            return _strings(value.string_value)
        case "double_value":
            return _double(value.double_value)
        case "array_value":
            return sum(map(any_value, value.array_value.values), Counter())
        case "kvlist_value":
            return key_values(value.kvlist_value.values)
    return Counter()


def _strings(*strings: bytes) -> Counter[str]:
    found: Counter[str] = Counter()
    for string in strings:
        try:
            string.decode()
        except UnicodeDecodeError:
            found["invalid_utf8"] += 1
        else:
            found["nul_character"] += b"\0" in string
    return +found


def _double(value: float) -> Counter[str]:
    not_json = not math.isfinite(value) or (value == 0 and math.copysign(1, value) < 0)
    return Counter(number_not_in_json=1) if not_json else Counter()


def _big(*values: int) -> Counter[str]:
    return +Counter(beyond_int64=sum(value > _MAX for value in values))


def _time(value: int) -> Counter[str]:
    now = time.time_ns()
    return Counter() if now - 30 * _DAY < value < now + _DAY else Counter(time_out_of_bounds=1)


def _id(value: bytes, size: int, name: str) -> Counter[str]:
    valid = not value or (len(value) == size and any(value))
    return Counter() if valid else Counter({f"invalid_{name}": 1})


def _span(span: Any) -> Counter[str]:
    found = _strings(span.name, span.trace_state, span.status.message) + key_values(span.attributes)
    found += _time(span.start_time_unix_nano) + _big(span.start_time_unix_nano, span.end_time_unix_nano)
    found += _id(span.parent_span_id, 8, "parent_span_id")
    for event in span.events:
        found += _strings(event.name) + key_values(event.attributes)
    for link in span.links:
        found += _strings(link.trace_state) + key_values(link.attributes)
    return found


def _record(record: Any) -> Counter[str]:
    found = _strings(record.severity_text, record.event_name) + key_values(record.attributes) + any_value(record.body)
    own, observed = record.time_unix_nano, record.observed_time_unix_nano
    found += _big(own, observed) + _id(record.trace_id, 16, "trace_id") + _id(record.span_id, 8, "span_id")
    return found + _time(own or observed or time.time_ns())


def _point(point: Any) -> Counter[str]:
    found = _time(point.time_unix_nano) + _big(point.time_unix_nano, point.start_time_unix_nano)
    found += _big(getattr(point, "count", 0), getattr(point, "zero_count", 0))
    lists = [getattr(point, "bucket_counts", [])]
    lists += [point.positive.bucket_counts, point.negative.bucket_counts] if hasattr(point, "positive") else []
    for counts in lists:
        found += _big(max(counts, default=0))
    for exemplar in getattr(point, "exemplars", []):
        found += _double(exemplar.as_double) + key_values(exemplar.filtered_attributes)
    return found
