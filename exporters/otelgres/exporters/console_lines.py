"""A batch as readable text: one line for each log record, span and metric point.

Control characters are escaped, so that data cannot break a line or control the terminal.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.items import parse

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SEVERITIES: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_STATUSES: Final = ("", " OK", " ERROR")
_LONGEST: Final = 2000
# Those of Unicode reorder the text around them.
_BIDIRECTIONAL: Final = (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_CONTROLS: Final = (
    {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
    | {code: f"\\u{code:04x}" for code in _BIDIRECTIONAL}
    | {10: "\\n", 9: "\\t"}
)


def lines(batch: Batch) -> list[str] | None:
    """The lines of ``batch``, without line ends; None if it is not an OTLP request."""
    request = parse(batch)
    if request is None:
        return None
    make = {Signal.LOGS: _logs, Signal.TRACES: _spans, Signal.METRICS: _points}[batch.signal]
    return [_plain(line) for line in make(request)]


def _logs(request: Any) -> Iterator[str]:
    for group in request.resource_logs:
        service = _service(group.resource)
        for scope in group.scope_logs:
            for record in scope.log_records:
                level = record.severity_text or _SEVERITIES[min(max(record.severity_number - 1, 0) // 4, 5)]
                body = _value(record.body) or record.event_name
                time = _time(record.time_unix_nano or record.observed_time_unix_nano)
                yield f"{time} {level} {service} {scope.scope.name}: {body}{_attributes(record.attributes)}"


def _spans(request: Any) -> Iterator[str]:
    for group in request.resource_spans:
        service = _service(group.resource)
        for scope in group.scope_spans:
            for span in scope.spans:
                took = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
                status = _STATUSES[span.status.code] if span.status.code < len(_STATUSES) else ""
                yield (
                    f"{_time(span.start_time_unix_nano)} SPAN {service} {span.name} {took:.3f}ms{status} "
                    f"trace={span.trace_id.hex()} span={span.span_id.hex()}{_attributes(span.attributes)}"
                )


def _points(request: Any) -> Iterator[str]:
    for group in request.resource_metrics:
        service = _service(group.resource)
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                for point in getattr(metric, kind).data_points if kind else ():
                    number = getattr(point, "WhichOneof", None) and kind in {"gauge", "sum"}
                    field = point.WhichOneof("value") if number else None
                    shown = getattr(point, field) if field else f"count={getattr(point, 'count', 0)}"
                    yield (
                        f"{_time(point.time_unix_nano)} METRIC {service} {metric.name} {shown} {metric.unit}"
                        f"{_attributes(point.attributes)}"
                    )


def _service(resource: Any) -> str:
    return next((_value(item.value) for item in resource.attributes if item.key == "service.name"), "-")


def _time(nanoseconds: int) -> str:
    try:
        moment = _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return str(nanoseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def _attributes(attributes: Any) -> str:
    shown = " ".join(f"{item.key}={_value(item.value)}" for item in attributes)
    return f" {{{shown}}}" if shown else ""


def _value(value: Any) -> str:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return f"[{', '.join(_value(item) for item in value.array_value.values)}]"
    if kind == "kvlist_value":
        return f"{{{', '.join(f'{item.key}: {_value(item.value)}' for item in value.kvlist_value.values)}}}"
    if kind == "bytes_value":
        return str(value.bytes_value.hex())
    return str(getattr(value, kind)) if kind else ""


def _plain(line: str) -> str:
    shown = line[:_LONGEST].translate(_CONTROLS)
    return shown if len(line) <= _LONGEST else f"{shown}… ({len(line):,} characters)"
