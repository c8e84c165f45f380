"""OTLP/JSON: the protocol's own rules, one by one."""

import base64
import json
import math
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.exporters.batch import Signal
from otelgres.exporters.otlp_json import InvalidJson, request_from_json, request_to_json

TRACE_ID = "5B8EFFF798038103D269B633813FC60C"
SPAN_ID = "eee19b7ec3c1b174"


def _traces(text: str | bytes) -> ExportTraceServiceRequest:
    data = text.encode() if isinstance(text, str) else text
    return ExportTraceServiceRequest.FromString(request_from_json(Signal.TRACES, data))


def _span(**fields: Any) -> Any:
    return (
        _traces(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]}))
        .resource_spans[0]
        .scope_spans[0]
        .spans[0]
    )


def _attribute(value: Any) -> Any:
    return _span(attributes=[{"key": "k", "value": value}]).attributes[0].value


def test_ids_are_hex_in_any_case_wherever_they_stand() -> None:
    span = _span(
        traceId=TRACE_ID,
        spanId=SPAN_ID,
        parentSpanId=SPAN_ID.upper(),
        links=[{"traceId": TRACE_ID.lower(), "spanId": SPAN_ID}],
    )
    assert span.trace_id == span.links[0].trace_id == bytes.fromhex(TRACE_ID)
    assert span.span_id == span.parent_span_id == span.links[0].span_id == bytes.fromhex(SPAN_ID)

    log = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"traceId": TRACE_ID, "spanId": SPAN_ID}]}]}]}
    record = ExportLogsServiceRequest.FromString(request_from_json(Signal.LOGS, json.dumps(log).encode()))
    assert record.resource_logs[0].scope_logs[0].log_records[0].trace_id == bytes.fromhex(TRACE_ID)

    point = {"timeUnixNano": 1, "asInt": "7", "exemplars": [{"traceId": TRACE_ID, "spanId": SPAN_ID, "asDouble": 1.5}]}
    metric = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "gauge": {"dataPoints": [point]}}]}]}]}
    metrics = ExportMetricsServiceRequest.FromString(request_from_json(Signal.METRICS, json.dumps(metric).encode()))
    exemplar = metrics.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0].exemplars[0]
    assert (exemplar.trace_id, exemplar.span_id) == (bytes.fromhex(TRACE_ID), bytes.fromhex(SPAN_ID))


def test_a_key_called_traceid_in_data_stays_what_it_is() -> None:
    entries = [{"key": "traceId", "value": {"stringValue": TRACE_ID}}, {"key": "b", "value": {"bytesValue": "q80="}}]
    value = _attribute({"kvlistValue": {"values": entries}}).kvlist_value.values
    assert (value[0].key, value[0].value.string_value) == ("traceId", TRACE_ID)
    assert value[1].value.bytes_value == b"\xab\xcd"


@pytest.mark.parametrize("text", ["", "00", "ab" * 15, "ab" * 17, "00" * 16, "ab" * 500])
def test_ids_of_the_wrong_length_pass(text: str) -> None:
    assert _span(traceId=text).trace_id == bytes.fromhex(text)


@pytest.mark.parametrize("text", ["xyz", "W47/95gDgQPSabYzgT/GDA==", "abc", "ab cd", "0xab", "é" * 4, 7, [], True])
def test_ids_that_are_not_hex_say_where(text: Any) -> None:
    with pytest.raises(InvalidJson, match=r"^\$\.resourceSpans\[0\]\.scopeSpans\[0\]\.spans\[0\]\.traceId: "):
        _span(traceId=text)


@pytest.mark.parametrize("text", ["+/+/", "-_-_", "_w", "_w==", "/w==", ""])
def test_bytes_are_base64_standard_or_url_safe(text: str) -> None:
    expected = base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_").rstrip("=") + "==")
    assert _attribute({"bytesValue": text}).bytes_value == expected


@pytest.mark.parametrize("text", ["a", "a b=", "*", 3])
def test_bytes_that_are_not_base64(text: Any) -> None:
    with pytest.raises(InvalidJson, match=r"attributes\[0\]\.value\.bytesValue"):
        _attribute({"bytesValue": text})


@pytest.mark.parametrize(
    ("given_kind", "kind"), [(2, 2), ("SPAN_KIND_SERVER", 2), ("2", 2), (99, 99), (-1, -1), (3.0, 3)]
)
def test_enums(given_kind: Any, kind: int) -> None:
    assert _span(kind=given_kind).kind == kind


@pytest.mark.parametrize("bad", ["SERVER", "", 2**31, 1.5, True, {}])
def test_enums_that_are_none(bad: Any) -> None:
    with pytest.raises(InvalidJson, match=r"spans\[0\]\.kind"):
        _span(kind=bad)


@pytest.mark.parametrize("number", [0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63)])
def test_int64_as_text_or_number(number: int) -> None:
    assert _attribute({"intValue": str(number)}).int_value == number
    assert _attribute({"intValue": number}).int_value == number


@pytest.mark.parametrize("number", [0, 1_700_000_000_123_456_789, 2**64 - 1])
def test_fixed64_as_text_or_number(number: int) -> None:
    assert _span(startTimeUnixNano=str(number)).start_time_unix_nano == number
    assert _span(startTimeUnixNano=number).start_time_unix_nano == number


def test_whole_floats_are_integers() -> None:
    assert _attribute({"intValue": 3.0}).int_value == 3
    assert (
        _traces('{"resourceSpans":[{"resource":{"droppedAttributesCount":1e3}}]}')
        .resource_spans[0]
        .resource.dropped_attributes_count
        == 1000
    )


@pytest.mark.parametrize(
    "bad",
    ["", "1.5", "1e3", "0x10", "1_0", " 1", "٣", "9" * 5000, 2**63, -(2**63) - 1, 1.5, 1e300, True, [], {}],
    ids=lambda bad: repr(bad)[:20],
)
def test_integers_that_are_none(bad: Any) -> None:
    with pytest.raises(InvalidJson, match=r"value\.intValue: expected an integer"):
        _attribute({"intValue": bad})


@pytest.mark.parametrize("bad", [-1, "-1", 2**64, "18446744073709551616"])
def test_unsigned_integers_have_bounds(bad: Any) -> None:
    with pytest.raises(InvalidJson, match="endTimeUnixNano"):
        _span(endTimeUnixNano=bad)


@pytest.mark.parametrize(
    ("given_value", "value"),
    [(1.5, 1.5), (3, 3.0), ("2.5e-3", 0.0025), ("Infinity", math.inf), ("-Infinity", -math.inf), (2**63, 2.0**63)],
)
def test_doubles(given_value: Any, value: float) -> None:
    assert _attribute({"doubleValue": given_value}).double_value == value


def test_nan_and_negative_zero() -> None:
    assert math.isnan(_attribute({"doubleValue": "NaN"}).double_value)
    assert math.copysign(1, _attribute({"doubleValue": -0.0}).double_value) == -1


@pytest.mark.parametrize("bad", ["nan", "inf", "1e999", "", "1_0", True, None, []])
def test_doubles_that_are_none(bad: Any) -> None:
    if bad is None:
        assert _attribute({"doubleValue": None}).WhichOneof("value") is None
        return
    with pytest.raises(InvalidJson, match="doubleValue"):
        _attribute({"doubleValue": bad})


def test_empty_values_stay_distinct() -> None:
    assert _attribute({}).WhichOneof("value") is None
    assert _attribute(None).WhichOneof("value") is None
    assert _attribute({"stringValue": ""}).WhichOneof("value") == "string_value"
    assert _attribute({"boolValue": False}).WhichOneof("value") == "bool_value"
    assert _attribute({"arrayValue": {}}).WhichOneof("value") == "array_value"
    assert _attribute({"kvlistValue": {}}).WhichOneof("value") == "kvlist_value"


def test_null_is_unset_and_keeps_places_in_arrays() -> None:
    assert _traces('{"resourceSpans": null}') == ExportTraceServiceRequest()
    assert _span(name=None, attributes=None, status=None, kind=None).ByteSize() == 0
    values = _attribute({"arrayValue": {"values": [{"intValue": 1}, None, {"intValue": 2}]}}).array_value.values
    assert [value.WhichOneof("value") for value in values] == ["int_value", None, "int_value"]


def test_unknown_keys_are_ignored_with_all_that_is_in_them() -> None:
    deep: Any = 1
    for _ in range(300):
        deep = {"traceId": [deep]}
    assert _span(name="n", future={"spanId": 5, "deep": deep}, SpanId="x").name == "n"


def test_snake_case_keys_are_tolerated() -> None:
    request = _traces('{"resource_spans":[{"scope_spans":[{"spans":[{"trace_id":"ab","start_time_unix_nano":5}]}]}]}')
    span = request.resource_spans[0].scope_spans[0].spans[0]
    assert (span.trace_id, span.start_time_unix_nano) == (b"\xab", 5)


def test_the_last_of_duplicate_keys_wins() -> None:
    request = _traces('{"resourceSpans":[{"schemaUrl":"a","schemaUrl":"b"}]}')
    assert request.resource_spans[0].schema_url == "b"


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"\ud800", "\ufffd"),
        (r"\uDFFFx", "\ufffdx"),
        (r"\ud800\ud83d\ude00", "\ufffd😀"),
        (r"\ude00\ud83d", "\ufffd\ufffd"),
        (r"\\ud800 \ud800", "\\ud800 \ufffd"),
        (r"\u0000", "\0"),
    ],
)
def test_lone_surrogates_are_replaced(escaped: str, text: str) -> None:
    assert _traces('{"resourceSpans":[{"schemaUrl":"' + escaped + '"}]}').resource_spans[0].schema_url == text


def test_two_members_of_a_oneof() -> None:
    with pytest.raises(InvalidJson, match=r"attributes\[0\]\.value: set only one of int_value, string_value"):
        _attribute({"stringValue": "1", "intValue": 1})
    assert _attribute({"stringValue": "1", "intValue": None}).string_value == "1"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b'{"resourceSpans": [NaN]}',
        b'"\xed\xa0\x80"',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 5_000 + b"]" * 5_000,
        rb'{"a":"\ud800',
    ],
    ids=lambda text: repr(text[:20]),
)
def test_not_json(text: bytes) -> None:
    with pytest.raises(InvalidJson, match="not JSON"):
        _traces(text)


@pytest.mark.parametrize("text", ["[]", "null", "1", '"x"', "true"])
def test_not_an_object(text: str) -> None:
    with pytest.raises(InvalidJson, match=r"^\$: expected an object, found"):
        _traces(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"resourceSpans":{}}', r"\$\.resourceSpans: expected an array, found an object"),
        ('{"resourceSpans":[{},3]}', r"\$\.resourceSpans\[1\]: expected an object, found a number"),
        (
            '{"resourceSpans":[{"resource":[]}]}',
            r"\$\.resourceSpans\[0\]\.resource: expected an object, found an array",
        ),
        (
            '{"resourceSpans":[{"schemaUrl":7}]}',
            r"\$\.resourceSpans\[0\]\.schemaUrl: expected a string, found a number",
        ),
    ],
)
def test_wrong_types_say_where(text: str, path: str) -> None:
    with pytest.raises(InvalidJson, match=path):
        _traces(text)


def _nested(arrays: int) -> dict[str, Any]:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(arrays):
        value = {"arrayValue": {"values": [value]}}
    return value


def test_nesting_is_bounded_where_protobuf_s_own_parsers_stop() -> None:
    # _attribute parses the bytes again, so the deepest that passes is known to be readable.
    assert _attribute(_nested(47)).ByteSize() > 0
    with pytest.raises(InvalidJson, match="nested messages"):
        _attribute(_nested(48))
    with pytest.raises(InvalidJson, match="nested messages"):
        _attribute(_nested(300))


def test_nesting_that_passes_can_always_be_read_back() -> None:
    # 5 messages down to a log body, 2 for each array and 3 for each list: 100 are allowed.
    passed = 0
    for arrays in range(40, 50):
        for lists in range(3):
            value = _nested(arrays)
            for _ in range(lists):
                value = {"kvlistValue": {"values": [{"key": "k", "value": value}]}}
            log = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": value}]}]}]}
            try:
                payload = request_from_json(Signal.LOGS, json.dumps(log).encode())
            except InvalidJson:
                continue
            ExportLogsServiceRequest.FromString(payload)
            request_to_json(Signal.LOGS, payload)
            passed += 1
    assert passed == 8 + 7 + 5


def test_to_json_has_the_protocol_s_form() -> None:
    request = ExportTraceServiceRequest()
    span = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(
            trace_id=bytes.fromhex(TRACE_ID),
            name="n",
            kind=2,
            start_time_unix_nano=2**60,
            flags=257,
        )
    )
    span.attributes.add(key="b").value.bytes_value = b"\xff\xff"
    span.attributes.add(key="i").value.int_value = -5
    span.attributes.add(key="d").value.double_value = math.nan
    line = request_to_json(Signal.TRACES, request.SerializeToString())
    assert json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"] == [
        {
            "traceId": TRACE_ID.lower(),
            "name": "n",
            "kind": 2,
            "startTimeUnixNano": str(2**60),
            "flags": 257,
            "attributes": [
                {"key": "b", "value": {"bytesValue": "//8="}},
                {"key": "i", "value": {"intValue": "-5"}},
                {"key": "d", "value": {"doubleValue": "NaN"}},
            ],
        }
    ]
    assert b"\n" not in line


def test_to_json_refuses_other_bytes() -> None:
    with pytest.raises(ValueError, match="not an OTLP traces request"):
        request_to_json(Signal.TRACES, b"\x0a\xff\xff")
