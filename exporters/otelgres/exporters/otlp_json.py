"""OTLP/JSON to OTLP protobuf bytes and back, for one export request of one signal.

OTLP's JSON is protobuf's JSON with three differences: ``traceId``, ``spanId`` and ``parentSpanId`` are hex, enums are
integers, unknown keys are ignored. Ids are recognised by the fields of the OTLP messages, so an attribute called
``traceId`` is left alone. Values are not validated here: an id of the wrong length passes, and the codec rejects the
item.
"""

import base64
import math
import re
from collections.abc import Callable
from typing import Any, Final, cast

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.descriptors import is_repeated
from otelgres.exporters.json_slices import SLICE_BYTES, RepeatedKey, slices
from otelgres.exporters.otlp_json_readers import ID_NAMES, Fault, reader_of
from otelgres.exporters.outline import DEFAULT_BOUNDS, Bounds


class InvalidJson(ValueError):  # noqa: N818 (named after the answer to the client)
    """The text is not an OTLP/JSON request; the message contains the JSON path."""


def request_from_json(signal: Signal, data: bytes, bounds: Bounds = DEFAULT_BOUNDS) -> bytes:
    """The encoded ``Export…ServiceRequest`` for ``data`` (UTF-8 JSON).

    ``null`` is an unset field, the last of duplicate keys wins, snake_case keys and enum names are accepted, and a
    lone surrogate (which protobuf cannot hold) becomes U+FFFD. Raises InvalidJson or TooManyParts.

    A large text is parsed in slices, in which a key on the path to the items may be there only once.
    """
    try:
        # Requests one after another are one request: protobuf merges them.
        return b"".join([_encoded(signal, _parsed(one.text), one.first) for one in slices(signal, data, bounds)])
    except RepeatedKey as error:
        raise InvalidJson(f"$: {error}") from None


def batch_from_json(data: bytes) -> Batch:
    """The same for a request of the signal that its only key names, such as ``resourceSpans``."""
    # All of a small text, or its first key.
    first = _FIRST_KEY(data) if len(data) > SLICE_BYTES else None
    tree = _parsed(data) if len(data) <= SLICE_BYTES else {first[1].decode(): None} if first else {}
    signals = {_SIGNALS[key] for key in tree if key in _SIGNALS} if isinstance(tree, dict) else set()
    if len(signals) != 1:
        raise InvalidJson("$: neither resourceSpans nor resourceMetrics nor resourceLogs")
    (signal,) = signals
    return Batch(signal, request_from_json(signal, data))


def _encoded(signal: Signal, tree: Any, first: tuple[int, ...]) -> bytes:
    message = _REQUESTS[signal]
    try:
        fields = reader_of(cast("Descriptor", message.DESCRIPTOR))(tree, 1)
    except Fault as fault:
        raise InvalidJson(f"{fault.path(first)}: {fault.reason}") from None
    try:
        return message(**fields).SerializeToString()
    except (TypeError, ValueError) as error:
        raise InvalidJson(f"$: {error}") from error


def request_to_json(signal: Signal, payload: bytes) -> bytes:
    """The inverse: one line of OTLP/JSON. Fields unknown to the installed opentelemetry-proto are omitted.

    Raises ValueError if ``payload`` is not an encoded request of ``signal``.
    """
    try:
        message = _REQUESTS[signal].FromString(payload)
    except DecodeError as error:
        raise ValueError(f"not an OTLP {signal} request: {error}") from error
    return orjson.dumps(_tree_of(message))


_REQUESTS: Final[dict[Signal, type[Message]]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}

_SIGNALS: Final = {
    key: signal
    for signal, message in _REQUESTS.items()
    for field in cast("Descriptor", message.DESCRIPTOR).fields
    for key in (field.json_name, field.name)
}

_FIRST_KEY: Final = re.compile(rb'\s*\{\s*"(\w{1,40})"').match
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)")


def _parsed(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        repaired = _ESCAPE.sub(_without_lone_surrogate, data)
        if repaired == data:
            raise InvalidJson(f"not JSON: {error}") from error
    try:
        return orjson.loads(repaired)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(f"not JSON: {error}") from error


def _without_lone_surrogate(escape: re.Match[bytes]) -> bytes:
    # A match of six bytes is a lone surrogate; a pair has twelve.
    text = escape.group()
    return b"\\ufffd" if len(text) == 6 else text


_WIDE_INTEGERS: Final = frozenset(
    {
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_SFIXED64,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_FIXED64,
    }
)


def _tree_of(message: Message) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for field, value in message.ListFields():
        write = _writer_of_field(field)
        tree[field.json_name] = [write(element) for element in value] if is_repeated(field) else write(value)
    return tree


def _writer_of_field(field: FieldDescriptor) -> Callable[[Any], Any]:
    if field.message_type is not None:
        return _tree_of
    if field.type in _WIDE_INTEGERS:
        return str
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return _double_to_json
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bytes.hex if field.name in ID_NAMES else _base64_to_json
    return _unchanged


def _double_to_json(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _base64_to_json(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _unchanged(value: Any) -> Any:
    return value
