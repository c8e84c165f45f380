"""Rows of the private tables back to OTLP: the independent way back, written against the tables and not the encoder.

Everything is rebuilt in the raw messages of ``otlp_raw``.
"""

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from otelgres.exporters.batch import Signal
from tests import otlp_raw as raw

_JOINED: Final = """
SELECT row_to_json(r)::text AS resource, row_to_json(s)::text AS scope, {more} t.*
FROM _otel.{table} t {join} LEFT JOIN _otel.resources r ON r.id = {owner}.resource_id
LEFT JOIN _otel.scopes s ON s.id = {owner}.scope_id
WHERE r.schema_url LIKE %s
"""
_SERIES: Final = "JOIN _otel.series e ON e.id = t.series_id JOIN _otel.metrics m ON m.id = e.metric_id"
_TABLES: Final = {5: "number_points", 7: "number_points", 9: "histogram_points", 10: "exponential_histogram_points",
                  11: "summary_points"}  # fmt: skip
_KINDS: Final = {5: "gauge", 7: "sum", 9: "histogram", 10: "exponential_histogram", 11: "summary"}


def read(connection: psycopg.Connection[Any], signal: Signal, tag: bytes) -> Any:
    """One request with every item whose resource's schema_url ends with ``tag``, each in a resource and scope alone."""
    request = raw.REQUESTS[signal]()
    if signal is Signal.METRICS:
        for table in sorted(set(_TABLES.values())):
            more = "row_to_json(m)::text AS metric, e.attributes AS series_attributes,"
            for row in _rows(connection, _JOINED.format(table=table, join=_SERIES, owner="e", more=more), tag):
                _scope(request, row).metrics.append(_metric(row))
        return request
    # jsonb's null is an empty body, SQL's is none at all.
    table, more = ("spans", "") if signal is Signal.TRACES else ("logs", "t.body_value IS NOT NULL AS has_value,")
    for row in _rows(connection, _JOINED.format(table=table, join="", owner="t", more=more), tag):
        if signal is Signal.TRACES:
            _scope(request, row).spans.append(_span(row))
        else:
            _scope(request, row).log_records.append(_record(row))
    return request


def _rows(connection: psycopg.Connection[Any], query: str, tag: bytes) -> Iterator[dict[str, Any]]:
    # jsonb as text: only then can 42 and 42.0 be told apart, and json reads numbers of any size.
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.adapters.register_loader("jsonb", _Json)
        yield from cursor.execute(query.encode(), [f"%{tag.decode()}"])


class _Json(psycopg.adapt.Loader):
    def load(self, data: Any) -> Any:
        return json.loads(bytes(data))


def _scope(request: Any, row: dict[str, Any]) -> Any:
    resource_row, scope_row = json.loads(row["resource"]), json.loads(row["scope"])
    group = raw.resources(request).add(
        resource=raw.Resource(
            attributes=attributes(resource_row["attributes"]),
            dropped_attributes_count=resource_row["dropped_attributes_count"],
            entity_refs=[_entity_ref(item) for item in resource_row["entity_refs"] or []],
        ),
        schema_url=_text(resource_row, "schema_url"),
    )
    return raw.scopes(request, group).add(
        scope=raw.Scope(
            name=_text(scope_row, "name"),
            version=_text(scope_row, "version"),
            attributes=attributes(scope_row["attributes"]),
            dropped_attributes_count=scope_row["dropped_attributes_count"],
        ),
        schema_url=_text(scope_row, "schema_url"),
    )


def _entity_ref(item: dict[str, Any]) -> Any:
    return raw.EntityRef(
        schema_url=string(item["schema_url"]),
        type=string(item["type"]),
        id_keys=[string(key) for key in item["id_keys"]],
        description_keys=[string(key) for key in item["description_keys"]],
    )


def _span(row: dict[str, Any]) -> Any:
    exact = _exact(row)
    status = None
    if row["status_code"] is not None:
        status = raw.Status(code=row["status_code"], message=_text(row, "status_message"))
    return raw.Span(
        trace_id=row["trace_id"].bytes,
        span_id=row["span_id"],
        trace_state=_text(row, "trace_state"),
        parent_span_id=bytes.fromhex(exact["parent_span_id"]) if "parent_span_id" in exact else row["parent_span_id"],
        flags=row["flags"],
        name=_text(row, "name"),
        kind=row["kind"],
        start_time_unix_nano=exact.get("start_time_unix_nano", row["start_time_unix_nano"]),
        end_time_unix_nano=exact.get("end_time_unix_nano", row["end_time_unix_nano"]),
        attributes=attributes(row["attributes"]),
        dropped_attributes_count=row["dropped_attributes_count"],
        events=[_event(item) for item in row["events"] or []],
        dropped_events_count=row["dropped_events_count"],
        links=[_link(item) for item in row["links"] or []],
        dropped_links_count=row["dropped_links_count"],
        status=status,
    )


def _event(item: dict[str, Any]) -> Any:
    return raw.Event(
        time_unix_nano=item["time_unix_nano"],
        name=string(item["name"]),
        attributes=attributes(item.get("attributes")),
        dropped_attributes_count=item.get("dropped_attributes_count", 0),
    )


def _link(item: dict[str, Any]) -> Any:
    return raw.Link(
        trace_id=bytes.fromhex(item["trace_id"]),
        span_id=bytes.fromhex(item["span_id"]),
        trace_state=string(item.get("trace_state", "")),
        attributes=attributes(item.get("attributes")),
        dropped_attributes_count=item.get("dropped_attributes_count", 0),
        flags=item.get("flags", 0),
    )


def _record(row: dict[str, Any]) -> Any:
    exact = _exact(row)
    body = None
    if row["has_value"]:
        body = any_value(row["body_value"])
    elif row["body"] is not None:
        body = raw.AnyValue(string_value=row["body"].encode())
    trace_id = row["trace_id"].bytes if row["trace_id"] else b""
    return raw.LogRecord(
        time_unix_nano=exact.get("time_unix_nano", row["time_unix_nano"]),
        observed_time_unix_nano=exact.get("observed_time_unix_nano", row["observed_time_unix_nano"]),
        severity_number=row["severity_number"],
        severity_text=_text(row, "severity_text"),
        body=body,
        attributes=attributes(row["attributes"]),
        dropped_attributes_count=row["dropped_attributes_count"],
        flags=row["flags"],
        trace_id=bytes.fromhex(exact["trace_id"]) if "trace_id" in exact else trace_id,
        span_id=bytes.fromhex(exact["span_id"]) if "span_id" in exact else row["span_id"],
        event_name=_text(row, "event_name"),
    )


def _metric(row: dict[str, Any]) -> Any:
    metric_row = json.loads(row["metric"])
    metric = raw.Metric(
        name=_text(metric_row, "name"),
        description=_text(metric_row, "description"),
        unit=_text(metric_row, "unit"),
        metadata=attributes(metric_row["metadata"]),
    )
    data = getattr(metric, _KINDS[metric_row["type"]])
    if metric_row["temporality"] is not None:
        data.aggregation_temporality = metric_row["temporality"]
    if metric_row["is_monotonic"] is not None:
        data.is_monotonic = metric_row["is_monotonic"]
    exact = _exact(row)
    point = data.data_points.add(
        attributes=attributes(row["series_attributes"]),
        start_time_unix_nano=exact.get("start_time_unix_nano", row["start_time_unix_nano"]),
        time_unix_nano=exact.get("time_unix_nano", row["time_unix_nano"]),
        flags=row["flags"],
    )
    fields = {"value_double": "as_double", "value_int": "as_int", "zero_threshold": "zero_threshold"}
    fields |= {name: name for name in ("count", "sum", "min", "max", "scale", "zero_count")}
    for column, field in fields.items():
        if row.get(column) is not None:
            setattr(point, field, exact.get(column, row[column]))
    for name in ("bucket_counts", "explicit_bounds"):
        getattr(point, name, []).extend(exact.get(name, row.get(name)) or [])
    for name in ("positive", "negative"):
        if row.get(f"{name}_offset") is not None:
            counts = exact.get(f"{name}_counts", row[f"{name}_counts"])
            getattr(point, name).CopyFrom(raw.Buckets(offset=row[f"{name}_offset"], bucket_counts=counts))
    if row.get("quantiles"):
        for quantile, value in zip(row["quantiles"], row["quantile_values"], strict=True):
            point.quantile_values.add(quantile=quantile, value=value)
    for item in row.get("exemplars") or []:
        point.exemplars.append(_exemplar(item))
    return metric


def _exemplar(item: dict[str, Any]) -> Any:
    exemplar = raw.Exemplar(
        time_unix_nano=item["time_unix_nano"],
        trace_id=bytes.fromhex(item.get("trace_id", "")),
        span_id=bytes.fromhex(item.get("span_id", "")),
        filtered_attributes=attributes(item.get("filtered_attributes")),
    )
    if "value_int" in item:
        exemplar.as_int = item["value_int"]
    elif "value" in item:
        value = item["value"]
        exemplar.as_double = float(value["$double"] if isinstance(value, dict) else value)
    return exemplar


def _exact(row: dict[str, Any]) -> dict[str, Any]:
    return row["repaired"] or {}


def _text(row: dict[str, Any], name: str) -> bytes:
    """A text column, or what stands for it beside it."""
    return string(_exact(row)[name] if name in _exact(row) else row[name] or "")


def string(value: Any) -> bytes:
    """A protobuf string from JSON: text, ``$string`` or ``$utf8``."""
    if isinstance(value, str):
        return value.encode()
    [(form, text)] = value.items()
    if form == "$utf8":
        return b64decode(text)
    assert form == "$string", value
    # Left to right: a backslash escapes the character behind it.
    parts, at = [], 0
    while at < len(text):
        if text[at] == "\\":
            parts.append("\0" if text[at + 1] == "0" else "\\")
            at += 2
        else:
            parts.append(text[at])
            at += 1
    return "".join(parts).encode()


def attributes(value: dict[str, Any] | None) -> list[Any]:
    """KeyValues from an attributes column."""
    if value is None:
        return []
    pairs = value.get("$kvlist")
    return [key_value(key, item) for key, item in (value.items() if pairs is None else pairs)]


def key_value(key: Any, value: Any) -> Any:
    """A KeyValue from its two halves."""
    return raw.KeyValue(key=string(key), value=any_value(value))


def any_value(value: Any) -> Any:
    """An AnyValue from JSON as ``otelgres.exporters.postgres.codec.anyvalue`` documents it."""
    match value:
        case None:
            return raw.AnyValue()
        case bool():
            return raw.AnyValue(bool_value=value)
        case int():
            return raw.AnyValue(int_value=value)
        case float():
            return raw.AnyValue(double_value=value)
        case str():
            return raw.AnyValue(string_value=value.encode())
        case list():
            return raw.AnyValue(array_value=raw.ArrayValue(values=[any_value(item) for item in value]))
        case {"$bytes": text}:
            return raw.AnyValue(bytes_value=b64decode(text))
        case {"$double": text}:
            return raw.AnyValue(double_value=float(text))
        case {"$string": _} | {"$utf8": _}:
            return raw.AnyValue(string_value=string(value))
        case {"$kvlist": pairs}:
            return raw.AnyValue(kvlist_value=raw.KeyValueList(values=[key_value(key, item) for key, item in pairs]))
        case {"$anyvalue": text}:
            return raw.AnyValue.FromString(b64decode(text))
        case dict():
            pairs = value.items()
            return raw.AnyValue(kvlist_value=raw.KeyValueList(values=[key_value(key, item) for key, item in pairs]))
    raise AssertionError(value)
