"""Where fuzzing starts: small valid inputs that between them use every part of what is fuzzed."""

import gzip
import zlib

import zstandard
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.otlp_json import request_to_json
from otelgres.exporters.spool.records import encode, header

NOW = 1_790_000_000_000_000_000


def _values() -> list[KeyValue]:
    found = [
        KeyValue(key="s", value=AnyValue(string_value="text")),
        KeyValue(key="b", value=AnyValue(bool_value=True)),
        KeyValue(key="i", value=AnyValue(int_value=-(2**63))),
        KeyValue(key="d", value=AnyValue(double_value=-0.0)),
        KeyValue(key="y", value=AnyValue(bytes_value=b"\x00\xff")),
        KeyValue(key="n", value=AnyValue()),
        KeyValue(key="service.name", value=AnyValue(string_value="shop")),
    ]
    array = AnyValue()
    array.array_value.values.add(int_value=1)
    array.array_value.values.add(string_value="x")
    nested = AnyValue()
    nested.kvlist_value.values.add(key="k").value.CopyFrom(array)
    nested.kvlist_value.values.add(key="k").value.double_value = float("nan")
    return [*found, KeyValue(key="a", value=array), KeyValue(key="m", value=nested)]


def traces() -> bytes:
    """One span with everything, and a bare one."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add(schema_url="u")
    group.resource.attributes.extend(_values())
    scope = group.scope_spans.add(schema_url="v")
    scope.scope.name = "lib"
    scope.scope.attributes.extend(_values()[:2])
    span = scope.spans.add(
        trace_id=b"t" * 16, span_id=b"s" * 8, parent_span_id=b"p" * 8, name="GET /", kind=Span.SPAN_KIND_SERVER,
        trace_state="a=b", flags=257,
        start_time_unix_nano=NOW, end_time_unix_nano=NOW + 1000, dropped_attributes_count=1, attributes=_values(),
    )  # fmt: skip
    span.status.code = Status.STATUS_CODE_ERROR
    span.status.message = "no"
    span.events.add(name="e", time_unix_nano=NOW, attributes=_values()[:3])
    span.links.add(trace_id=b"l" * 16, span_id=b"m" * 8, trace_state="c=d", attributes=_values()[:1])
    scope.spans.add(trace_id=b"u" * 16, span_id=b"v" * 8)
    return bytes(request.SerializeToString())


def logs() -> bytes:
    """Records with a string body, a structured one and none."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.extend(_values())
    scope = group.scope_logs.add()
    record = scope.log_records.add(
        time_unix_nano=NOW, observed_time_unix_nano=NOW, severity_number=17, severity_text="ERROR", event_name="ev",
        trace_id=b"t" * 16, span_id=b"s" * 8, flags=1, attributes=_values(),
    )  # fmt: skip
    record.attributes.add(key="log.record.uid").value.string_value = "01890a5d-ac96-774b-bcce-b302099a8057"
    record.body.string_value = "line\x00with"
    scope.log_records.add(body=_values()[-1].value)
    scope.log_records.add()
    return bytes(request.SerializeToString())


def metrics() -> bytes:
    """A metric of each type, with exemplars."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(_values()[-3:])
    scope = group.scope_metrics.add()
    gauge = scope.metrics.add(name="g", unit="1", description="d").gauge.data_points
    gauge.add(time_unix_nano=NOW, as_double=float("inf"), attributes=_values()[:4])
    total = scope.metrics.add(name="s").sum
    total.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    total.is_monotonic = True
    point = total.data_points.add(time_unix_nano=NOW, start_time_unix_nano=NOW - 5, as_int=7)
    point.exemplars.add(time_unix_nano=NOW, as_int=3, trace_id=b"t" * 16, span_id=b"s" * 8)
    histogram = scope.metrics.add(name="h").histogram
    histogram.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    histogram.data_points.add(
        time_unix_nano=NOW, count=3, sum=4.0, min=1, max=2, bucket_counts=[1, 2], explicit_bounds=[1.5]
    )
    exponential = scope.metrics.add(name="e").exponential_histogram.data_points.add(
        time_unix_nano=NOW, count=2, scale=3
    )
    exponential.positive.offset = -4
    exponential.positive.bucket_counts.extend([1, 0, 1])
    summary = scope.metrics.add(name="q").summary.data_points.add(time_unix_nano=NOW, count=1, sum=2.0)
    summary.quantile_values.add(quantile=0.5, value=2.0)
    return bytes(request.SerializeToString())


REQUESTS = {Signal.TRACES: traces(), Signal.LOGS: logs(), Signal.METRICS: metrics()}
JSON = {signal: request_to_json(signal, payload) for signal, payload in REQUESTS.items()}
COMPRESSED = [
    b"\x00" + gzip.compress(REQUESTS[Signal.TRACES], mtime=0),
    b"\x01" + zlib.compress(REQUESTS[Signal.LOGS]),
    b"\x02" + zstandard.ZstdCompressor().compress(REQUESTS[Signal.METRICS]),
    b"\x03" + gzip.compress(zlib.compress(b"a" * 5000), mtime=0),
]


SPOOL_KEY = bytes(range(8))
SPOOLED = [Batch(signal, payload * times) for signal, payload in REQUESTS.items() for times in (1, 20)]
SPOOL = header(SPOOL_KEY, len(SPOOLED)) + b"".join(
    encode(batch, number, NOW, SPOOL_KEY) for number, batch in enumerate(SPOOLED)
)
_POST = b"POST /v1/%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/%s\r\n"
HTTP = [
    _POST % (b"traces", b"x-protobuf") + b"Content-Length: 4\r\n\r\n\x0a\x02\x0a\x00",
    _POST % (b"logs", b"json") + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    _POST % (b"metrics", b"json; charset=utf-8")
    + b"Content-Encoding: gzip\r\nContent-Length: 22\r\n\r\n"
    + gzip.compress(b"{}", mtime=0),
    b"OPTIONS /v1/traces HTTP/1.1\r\nHost: x\r\nOrigin: http://a\r\nAccess-Control-Request-Method: POST\r\n\r\n",
    b"GET /healthz HTTP/1.0\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nUpgrade: h2c\r\n\r\n",
]
