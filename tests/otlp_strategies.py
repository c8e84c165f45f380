"""Random export requests for hypothesis: everything that OTLP allows, the awkward more often than chance would have it.

Requests are valid, except that strings may be anything at all.
"""

import itertools
import time
from typing import Any, Final

from hypothesis import strategies as st

from otelgres.exporters.batch import Signal
from tests import otlp_raw as raw

NOW: Final = time.time_ns()
_DAY: Final = 86_400_000_000_000

_texts = st.text(max_size=8).map(str.encode)
_unusual = st.sampled_from(
    [
        b"", b"\0", b"a\0b", b"\\0\0\\", b"\\u0000", b"$", b"$bytes", b"$kvlist", b"$$", "🜁 é".encode(), b"\xff",
        b"\xed\xa0\x80", b"\xff\0", b'"\\\n\x1f\x7f', "\ufffd\ufeff\U0010ffff".encode(), b"service.name",
        b"log.record.uid", b"otelgres.type", b"flow", b"42", b"null",
    ]
)  # fmt: skip
strings = _texts | _unusual
doubles = st.floats(allow_subnormal=True) | st.sampled_from(
    [0.0, -0.0, float("nan"), float("inf"), float("-inf"), 5e-324, 1e300, 1e16, 1e22, 0.1, 1e-7, 123456789012345680.0]
)
int64 = st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1, 2**56 - 1, 2**56]) | st.integers(-(2**63), 2**63 - 1)
uint64 = st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)
uint32 = st.sampled_from([0, 1, 256, 2**31, 2**32 - 1])
int32 = st.sampled_from([0, 1, 2, 3, 5, 17, 99, -1, 2**31 - 1, -(2**31)])
recent = st.integers(NOW - _DAY // 2, NOW)
times = recent | recent | st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**63 + 5, 2**64 - 1]) | st.integers(0, 2**64 - 1)

_leaves = (
    st.builds(raw.AnyValue)
    | st.builds(raw.AnyValue, string_value=strings)
    | st.builds(raw.AnyValue, bool_value=st.booleans())
    | st.builds(raw.AnyValue, int_value=int64)
    | st.builds(raw.AnyValue, double_value=doubles)
    | st.builds(raw.AnyValue, bytes_value=st.binary(max_size=6))
)


def _key_values(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(raw.KeyValue, key=strings, value=st.none() | values)


def _containers(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    arrays = st.builds(raw.ArrayValue, values=st.lists(values, max_size=3))
    maps = st.builds(raw.KeyValueList, values=st.lists(_key_values(values), max_size=3))
    return st.builds(raw.AnyValue, array_value=arrays) | st.builds(raw.AnyValue, kvlist_value=maps)


any_values = st.recursive(_leaves, _containers, max_leaves=5)
key_values = _key_values(any_values)
attributes = st.lists(key_values, max_size=4)


def _some(kind: Any, always: dict[str, Any] | None = None, /, **fields: Any) -> st.SearchStrategy[Any]:
    """A message of this kind with some of the fields set."""
    always = always or {}
    optional = {name: values for name, values in fields.items() if name not in always}
    return st.fixed_dictionaries(always, optional=optional).map(lambda values: kind(**values))


entity_refs = _some(
    raw.EntityRef,
    schema_url=strings,
    type=strings,
    id_keys=st.lists(strings, max_size=2),
    description_keys=st.lists(strings, max_size=2),
)
_resources = _some(
    raw.Resource,
    attributes=attributes,
    dropped_attributes_count=uint32,
    entity_refs=st.lists(entity_refs, max_size=2),
)
_scopes = _some(raw.Scope, name=strings, version=strings, attributes=attributes, dropped_attributes_count=uint32)
_ids = st.binary(max_size=17) | st.sampled_from([bytes(8), bytes(16), b"\x01" * 8, b"\x01" * 16])

_events = _some(raw.Event, time_unix_nano=times, name=strings, attributes=attributes, dropped_attributes_count=uint32)
_links = _some(
    raw.Link,
    trace_id=_ids,
    span_id=_ids,
    trace_state=strings,
    attributes=attributes,
    dropped_attributes_count=uint32,
    flags=uint32,
)
_spans = _some(
    raw.Span,
    {"start_time_unix_nano": times},
    trace_state=strings,
    parent_span_id=_ids,
    flags=uint32,
    name=strings,
    kind=int32,
    end_time_unix_nano=times,
    attributes=attributes,
    dropped_attributes_count=uint32,
    events=st.lists(_events, max_size=2),
    dropped_events_count=uint32,
    links=st.lists(_links, max_size=2),
    dropped_links_count=uint32,
    status=_some(raw.Status, message=strings, code=int32),
)
_records = _some(
    raw.LogRecord,
    time_unix_nano=times,
    observed_time_unix_nano=times,
    severity_number=int32,
    severity_text=strings,
    body=any_values,
    attributes=attributes,
    dropped_attributes_count=uint32,
    flags=uint32,
    trace_id=_ids,
    span_id=_ids,
    event_name=strings,
)

_exemplars = _some(
    raw.Exemplar, time_unix_nano=times, span_id=_ids, trace_id=_ids, filtered_attributes=attributes
) | st.builds(raw.Exemplar, as_int=int64) | st.builds(raw.Exemplar, as_double=doubles)  # fmt: skip
_point: Final[dict[str, Any]] = {"attributes": attributes, "start_time_unix_nano": times, "flags": uint32}
_with_exemplars: Final[dict[str, Any]] = {**_point, "exemplars": st.lists(_exemplars, max_size=2)}
_distribution: Final[dict[str, Any]] = {
    **_with_exemplars,
    "count": uint64,
    "sum": doubles,
    "min": doubles,
    "max": doubles,
}
_at: Final[dict[str, Any]] = {"time_unix_nano": times.filter(bool)}
_counts = st.lists(uint64, max_size=3)
_buckets = _some(raw.Buckets, offset=int32, bucket_counts=_counts)


@st.composite
def _histogram_points(draw: st.DrawFn) -> Any:
    point = draw(_some(raw.HistogramDataPoint, _at, **_distribution))
    counts = draw(st.lists(uint64, max_size=4))
    point.bucket_counts.extend(counts)
    point.explicit_bounds.extend(draw(doubles) for _ in counts[1:])
    return point


_number_points = (
    _some(raw.NumberDataPoint, {**_at, "as_int": int64}, **_with_exemplars)
    | _some(raw.NumberDataPoint, {**_at, "as_double": doubles}, **_with_exemplars)
    | _some(raw.NumberDataPoint, {**_at, "flags": st.just(1)}, **_with_exemplars)
)
_exponential_points = _some(
    raw.ExponentialHistogramDataPoint,
    _at,
    scale=int32,
    zero_count=uint64,
    zero_threshold=doubles,
    positive=_buckets,
    negative=_buckets,
    **_distribution,
)
_quantiles = st.builds(raw.ValueAtQuantile, quantile=doubles, value=doubles)
_summary_points = _some(
    raw.SummaryDataPoint, _at, count=uint64, sum=doubles, quantile_values=st.lists(_quantiles, max_size=2), **_point
)


def _several(points: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(points, max_size=3)


_data = (
    st.builds(raw.Gauge, data_points=_several(_number_points)).map(lambda data: {"gauge": data})
    | st.builds(
        raw.Sum, data_points=_several(_number_points), aggregation_temporality=int32, is_monotonic=st.booleans()
    ).map(lambda data: {"sum": data})
    | st.builds(raw.Histogram, data_points=_several(_histogram_points()), aggregation_temporality=int32).map(
        lambda data: {"histogram": data}
    )
    | st.builds(raw.ExponentialHistogram, data_points=_several(_exponential_points), aggregation_temporality=int32).map(
        lambda data: {"exponential_histogram": data}
    )
    | st.builds(raw.Summary, data_points=_several(_summary_points)).map(lambda data: {"summary": data})
)


_metrics = st.tuples(
    _data, st.fixed_dictionaries({}, optional={"name": strings, "description": strings, "unit": strings,
                                               "metadata": attributes})
).map(lambda drawn: raw.Metric(**drawn[0], **drawn[1]))  # fmt: skip


def _requests(request: Any, resource: Any, scope: Any, words: tuple[str, str, str], item: Any) -> Any:
    in_resource, in_scope, in_item = words
    scopes = _some(scope, {in_item: st.lists(item, max_size=3)}, scope=_scopes, schema_url=strings)
    groups = _some(
        resource, {in_scope: st.lists(scopes, min_size=1, max_size=2)}, resource=_resources, schema_url=strings
    )
    return st.builds(request, **{in_resource: st.lists(groups, min_size=1, max_size=2)})


traces_requests = _requests(
    raw.TracesRequest, raw.ResourceSpans, raw.ScopeSpans, ("resource_spans", "scope_spans", "spans"), _spans
)
logs_requests = _requests(
    raw.LogsRequest, raw.ResourceLogs, raw.ScopeLogs, ("resource_logs", "scope_logs", "log_records"), _records
)
metrics_requests = _requests(
    raw.MetricsRequest,
    raw.ResourceMetrics,
    raw.ScopeMetrics,
    ("resource_metrics", "scope_metrics", "metrics"),
    _metrics,
)
REQUESTS: Final = {
    Signal.TRACES: traces_requests,
    Signal.LOGS: logs_requests,
    Signal.METRICS: metrics_requests,
}

_numbers = itertools.count(1)


def made_unique(request: Any) -> bytes:
    """Makes the request one of its own in any database, and returns the end of its resources' schema_url.

    Spans get ids of their own. Points of one series at one moment are one point to a metrics backend, and records with
    one uid one record, so the second of such is taken out.
    """
    number = next(_numbers)
    tag = b"#%d" % number
    seen: set[object] = set()
    span_numbers = itertools.count(1)
    for resource in raw.resources(request):
        resource.schema_url += tag
        for scope in raw.scopes(request, resource):
            head = (raw.canonical(resource.resource), resource.schema_url, raw.canonical(scope.scope), scope.schema_url)
            match raw.signal_of(request):
                case Signal.TRACES:
                    for span in scope.spans:
                        span.trace_id = NOW.to_bytes(8, "big") + number.to_bytes(8, "big")
                        span.span_id = next(span_numbers).to_bytes(8, "big")
                case Signal.LOGS:
                    for record in scope.log_records:
                        for item in record.attributes:
                            if item.key == b"log.record.uid":
                                item.value.string_value = b"%d.%d" % (number, next(span_numbers))
                case Signal.METRICS:
                    for metric in scope.metrics:
                        _drop_second_points(metric, (*head, raw.metric_head(metric)), seen)
    return tag


def _drop_second_points(metric: Any, head: tuple[Any, ...], seen: set[object]) -> None:
    points = raw.points(metric)
    kept = []
    for point in points:
        attributes = tuple(sorted((raw.canonical(item) for item in point.attributes), key=repr))
        key = (head, attributes, point.time_unix_nano, point.start_time_unix_nano)
        if key not in seen:
            seen.add(key)
            kept.append(point)
    if len(kept) < len(points):
        del points[:]
        points.extend(kept)
