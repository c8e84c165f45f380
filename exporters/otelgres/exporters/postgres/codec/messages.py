"""OTLP messages for lazy parsing: wire-compatible with opentelemetry-proto, with the small parts left as bytes.

Parsing every attribute into objects costs more than all the rest. Here resources, scopes, attributes, bodies and
strings stay ``bytes``: they are looked up in a cache (``attributes``) and parsed only on a miss. Number and histogram
points stay ``bytes`` too; most are read by ``points`` without a message. ``tests/unit/test_lazy.py`` compares all field
numbers with the real descriptors.
"""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_F = descriptor_pb2.FieldDescriptorProto
_BYTES, _FIXED64, _FIXED32, _SFIXED64 = _F.TYPE_BYTES, _F.TYPE_FIXED64, _F.TYPE_FIXED32, _F.TYPE_SFIXED64
_UINT32, _INT32, _DOUBLE, _SINT32, _UINT64, _BOOL = (
    _F.TYPE_UINT32,
    _F.TYPE_INT32,
    _F.TYPE_DOUBLE,
    _F.TYPE_SINT32,
    _F.TYPE_UINT64,
    _F.TYPE_BOOL,
)

# Message -> (field, number, type or message name, repeated). tests/unit/test_lossless.py lists the fields of the
# originals that are missing here, with the reasons.
MESSAGES: Final[dict[str, tuple[tuple[str, int, Any, bool], ...]]] = {
    "TracesRequest": (("resource_spans", 1, "ResourceSpans", True),),
    "ResourceSpans": (
        ("resource", 1, _BYTES, False),
        ("scope_spans", 2, "ScopeSpans", True),
        ("schema_url", 3, _BYTES, False),
    ),
    "ScopeSpans": (("scope", 1, _BYTES, False), ("spans", 2, "Span", True), ("schema_url", 3, _BYTES, False)),
    "Span": (
        ("trace_id", 1, _BYTES, False),
        ("span_id", 2, _BYTES, False),
        ("trace_state", 3, _BYTES, False),
        ("parent_span_id", 4, _BYTES, False),
        ("name", 5, _BYTES, False),
        ("kind", 6, _INT32, False),
        ("start_time_unix_nano", 7, _FIXED64, False),
        ("end_time_unix_nano", 8, _FIXED64, False),
        ("attributes", 9, _BYTES, True),
        ("dropped_attributes_count", 10, _UINT32, False),
        ("events", 11, "Event", True),
        ("dropped_events_count", 12, _UINT32, False),
        ("links", 13, "Link", True),
        ("dropped_links_count", 14, _UINT32, False),
        ("status", 15, _BYTES, False),
        ("flags", 16, _FIXED32, False),
    ),
    "Event": (
        ("time_unix_nano", 1, _FIXED64, False),
        ("name", 2, _BYTES, False),
        ("attributes", 3, _BYTES, True),
        ("dropped_attributes_count", 4, _UINT32, False),
    ),
    "Link": (
        ("trace_id", 1, _BYTES, False),
        ("span_id", 2, _BYTES, False),
        ("trace_state", 3, _BYTES, False),
        ("attributes", 4, _BYTES, True),
        ("dropped_attributes_count", 5, _UINT32, False),
        ("flags", 6, _FIXED32, False),
    ),
    "Status": (("message", 2, _BYTES, False), ("code", 3, _INT32, False)),
    "LogsRequest": (("resource_logs", 1, "ResourceLogs", True),),
    "ResourceLogs": (
        ("resource", 1, _BYTES, False),
        ("scope_logs", 2, "ScopeLogs", True),
        ("schema_url", 3, _BYTES, False),
    ),
    "ScopeLogs": (("scope", 1, _BYTES, False), ("log_records", 2, "LogRecord", True), ("schema_url", 3, _BYTES, False)),
    "LogRecord": (
        ("time_unix_nano", 1, _FIXED64, False),
        ("severity_number", 2, _INT32, False),
        ("severity_text", 3, _BYTES, False),
        ("body", 5, _BYTES, False),
        ("attributes", 6, _BYTES, True),
        ("dropped_attributes_count", 7, _UINT32, False),
        ("flags", 8, _FIXED32, False),
        ("trace_id", 9, _BYTES, False),
        ("span_id", 10, _BYTES, False),
        ("observed_time_unix_nano", 11, _FIXED64, False),
        ("event_name", 12, _BYTES, False),
    ),
    "MetricsRequest": (("resource_metrics", 1, "ResourceMetrics", True),),
    "ResourceMetrics": (
        ("resource", 1, _BYTES, False),
        ("scope_metrics", 2, "ScopeMetrics", True),
        ("schema_url", 3, _BYTES, False),
    ),
    "ScopeMetrics": (("scope", 1, _BYTES, False), ("metrics", 2, "Metric", True), ("schema_url", 3, _BYTES, False)),
    "Metric": (
        ("name", 1, _BYTES, False),
        ("description", 2, _BYTES, False),
        ("unit", 3, _BYTES, False),
        ("gauge", 5, "Gauge", False),
        ("sum", 7, "Sum", False),
        ("histogram", 9, "Histogram", False),
        ("exponential_histogram", 10, "ExponentialHistogram", False),
        ("summary", 11, "Summary", False),
        ("metadata", 12, _BYTES, True),
    ),
    "Gauge": (("data_points", 1, _BYTES, True),),
    "Sum": (
        ("data_points", 1, _BYTES, True),
        ("aggregation_temporality", 2, _INT32, False),
        ("is_monotonic", 3, _BOOL, False),
    ),
    "Histogram": (
        ("data_points", 1, _BYTES, True),
        ("aggregation_temporality", 2, _INT32, False),
    ),
    "ExponentialHistogram": (
        ("data_points", 1, "ExponentialHistogramDataPoint", True),
        ("aggregation_temporality", 2, _INT32, False),
    ),
    "Summary": (("data_points", 1, "SummaryDataPoint", True),),
    "NumberDataPoint": (
        ("start_time_unix_nano", 2, _FIXED64, False),
        ("time_unix_nano", 3, _FIXED64, False),
        ("as_double", 4, _DOUBLE, False),
        ("exemplars", 5, "Exemplar", True),
        ("as_int", 6, _SFIXED64, False),
        ("attributes", 7, _BYTES, True),
        ("flags", 8, _UINT32, False),
    ),
    "HistogramDataPoint": (
        ("start_time_unix_nano", 2, _FIXED64, False),
        ("time_unix_nano", 3, _FIXED64, False),
        ("count", 4, _FIXED64, False),
        ("sum", 5, _DOUBLE, False),
        ("bucket_counts", 6, _FIXED64, True),
        ("explicit_bounds", 7, _DOUBLE, True),
        ("exemplars", 8, "Exemplar", True),
        ("attributes", 9, _BYTES, True),
        ("flags", 10, _UINT32, False),
        ("min", 11, _DOUBLE, False),
        ("max", 12, _DOUBLE, False),
    ),
    "ExponentialHistogramDataPoint": (
        ("attributes", 1, _BYTES, True),
        ("start_time_unix_nano", 2, _FIXED64, False),
        ("time_unix_nano", 3, _FIXED64, False),
        ("count", 4, _FIXED64, False),
        ("sum", 5, _DOUBLE, False),
        ("scale", 6, _SINT32, False),
        ("zero_count", 7, _FIXED64, False),
        ("positive", 8, "Buckets", False),
        ("negative", 9, "Buckets", False),
        ("flags", 10, _UINT32, False),
        ("exemplars", 11, "Exemplar", True),
        ("min", 12, _DOUBLE, False),
        ("max", 13, _DOUBLE, False),
        ("zero_threshold", 14, _DOUBLE, False),
    ),
    "Buckets": (("offset", 1, _SINT32, False), ("bucket_counts", 2, _UINT64, True)),
    "SummaryDataPoint": (
        ("start_time_unix_nano", 2, _FIXED64, False),
        ("time_unix_nano", 3, _FIXED64, False),
        ("count", 4, _FIXED64, False),
        ("sum", 5, _DOUBLE, False),
        ("quantile_values", 6, "ValueAtQuantile", True),
        ("attributes", 7, _BYTES, True),
        ("flags", 8, _UINT32, False),
    ),
    "ValueAtQuantile": (("quantile", 1, _DOUBLE, False), ("value", 2, _DOUBLE, False)),
    "Exemplar": (
        ("time_unix_nano", 2, _FIXED64, False),
        ("as_double", 3, _DOUBLE, False),
        ("span_id", 4, _BYTES, False),
        ("trace_id", 5, _BYTES, False),
        ("as_int", 6, _SFIXED64, False),
        ("filtered_attributes", 7, _BYTES, True),
    ),
    "Resource": (
        ("attributes", 1, _BYTES, True),
        ("dropped_attributes_count", 2, _UINT32, False),
        ("entity_refs", 3, "EntityRef", True),
    ),
    "EntityRef": (
        ("schema_url", 1, _BYTES, False),
        ("type", 2, _BYTES, False),
        ("id_keys", 3, _BYTES, True),
        ("description_keys", 4, _BYTES, True),
    ),
    "InstrumentationScope": (
        ("name", 1, _BYTES, False),
        ("version", 2, _BYTES, False),
        ("attributes", 3, _BYTES, True),
        ("dropped_attributes_count", 4, _UINT32, False),
    ),
}

# Only the last field set of each group is kept, as in the originals.
ONEOFS: Final[dict[str, tuple[str, ...]]] = {
    "Metric": ("gauge", "sum", "histogram", "exponential_histogram", "summary"),
    "NumberDataPoint": ("as_double", "as_int"),
    "Exemplar": ("as_double", "as_int"),
}


def _build() -> dict[str, Any]:
    package = "otelgres.lazy"
    # proto2: every field has presence, and bytes are not checked for UTF-8.
    file = descriptor_pb2.FileDescriptorProto(name="otelgres_lazy.proto", package=package, syntax="proto2")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        if name in ONEOFS:
            message.oneof_decl.add(name="one_of")
        for field_name, number, kind, repeated in fields:
            field = message.field.add(
                name=field_name, number=number, label=_F.LABEL_REPEATED if repeated else _F.LABEL_OPTIONAL
            )
            if field_name in ONEOFS.get(name, ()):
                field.oneof_index = 0
            if isinstance(kind, str):
                field.type, field.type_name = _F.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                field.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in MESSAGES}


_CLASSES = _build()
TracesRequest: Any = _CLASSES["TracesRequest"]
LogsRequest: Any = _CLASSES["LogsRequest"]
MetricsRequest: Any = _CLASSES["MetricsRequest"]
NumberDataPoint: Any = _CLASSES["NumberDataPoint"]
HistogramDataPoint: Any = _CLASSES["HistogramDataPoint"]
Resource: Any = _CLASSES["Resource"]
InstrumentationScope: Any = _CLASSES["InstrumentationScope"]
Status: Any = _CLASSES["Status"]
