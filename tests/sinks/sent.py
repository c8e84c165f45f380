"""Requests as senders make them, in few words, and what a test asks a database about them."""

import random
import time
from typing import Any, Final

import psycopg

from otelgres.exporters.batch import Batch
from tests import otlp_raw as raw

Connection = psycopg.Connection[Any]

NOW: Final = time.time_ns()
_ids = random.Random(7)


def span(name: str = "work", **fields: Any) -> Any:
    given = {
        "trace_id": _ids.randbytes(16),
        "span_id": _ids.randbytes(8),
        "name": name.encode(),
        "start_time_unix_nano": NOW,
        "end_time_unix_nano": NOW + 1000,
    }
    return raw.Span(**(given | fields))


def record(body: str = "line", uid: str | None = None, **fields: Any) -> Any:
    attributes = [] if uid is None else [raw.attribute("log.record.uid", uid)]
    given = {"time_unix_nano": NOW, "body": raw.AnyValue(string_value=body.encode()), "attributes": attributes}
    return raw.LogRecord(**(given | fields))


def point(at: int, value: int = 1, **fields: Any) -> Any:
    return raw.NumberDataPoint(time_unix_nano=at, as_int=value, attributes=[raw.attribute("host", "a")], **fields)


def request(*items: Any, service: str = "shop") -> Any:
    """A request with these spans, records or points of one gauge, from one service."""
    resource = raw.Resource(attributes=[raw.attribute("service.name", service)])
    if isinstance(items[0], raw.Span):
        inner = raw.ResourceSpans(resource=resource, scope_spans=[raw.ScopeSpans(spans=items)])
        return raw.TracesRequest(resource_spans=[inner])
    if isinstance(items[0], raw.LogRecord):
        logs = raw.ResourceLogs(resource=resource, scope_logs=[raw.ScopeLogs(log_records=items)])
        return raw.LogsRequest(resource_logs=[logs])
    metric = raw.Metric(name=b"load", gauge=raw.Gauge(data_points=items))
    metrics = raw.ResourceMetrics(resource=resource, scope_metrics=[raw.ScopeMetrics(metrics=[metric])])
    return raw.MetricsRequest(resource_metrics=[metrics])


def batch(*items: Any, service: str = "shop") -> Batch:
    return raw.batch(request(*items, service=service))


def value(connection: Connection, query: str, *parameters: Any) -> Any:
    """The one value that the query returns."""
    [row] = connection.execute(query.encode(), parameters).fetchall()
    return row[0]


def losses(connection: Connection) -> dict[tuple[str, str, str], int]:
    rows = connection.execute("SELECT effect, signal, reason, sum(count)::integer FROM _otel.losses GROUP BY 1, 2, 3")
    return {(effect, signal, reason): count for effect, signal, reason, count in rows}


def names(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT name FROM _otel.spans ORDER BY name")]
