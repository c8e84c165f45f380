"""Fills a database with ten million spans of seven days: ``python -m tests.grafana.many_spans DSN [FLOWS]``.

For panel_times.py. A million flows of ten spans (a root, calls between services, phases, checkpoints) in 20 services of
two instances, 200 operations, two log records a flow; two of a hundred spans fail, and every fiftieth flow has no root.
Written by INSERT … SELECT, so that the triggers make the roll-ups. Takes some minutes.
"""

import sys

import psycopg

from otelgres.collector.database.maintenance import roll_up_hours

_CHUNK = 20_000
_DAYS = 7

_DIMENSIONS = """
INSERT INTO _otel.resources (hash, service_name, service_instance_id, attributes, dropped_attributes_count, schema_url)
SELECT gen_random_uuid(), 'service-' || i / 2, 'i-' || i,
       jsonb_build_object('service.name', 'service-' || i / 2, 'service.instance.id', 'i-' || i), 0, ''
FROM generate_series(0, 39) AS i;
INSERT INTO _otel.scopes (hash, name, version, attributes, dropped_attributes_count, schema_url)
VALUES (gen_random_uuid(), 'many', '1', '{}', 0, '');
SELECT _otel.make_partition(p.name, now() - make_interval(days => d))
FROM _otel.partitioned p, generate_series(0, 8) AS d;
"""
_SPANS = """
WITH ids AS (
    SELECT (SELECT min(id) FROM _otel.resources WHERE service_name = 'service-0') AS resource,
           (SELECT max(id) FROM _otel.scopes WHERE name = 'many') AS scope
), flow AS MATERIALIZED (
    SELECT n, gen_random_uuid() AS trace_id,
           1e9 * extract(epoch FROM
               now() - make_interval(secs => 1 + %(seconds)s * (%(flows)s - n) / %(flows)s)) AS began
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
)
INSERT INTO _otel.spans (
    start_time, start_time_unix_nano, end_time_unix_nano, trace_id, resource_id, scope_id, flags, kind, status_code,
    dropped_attributes_count, dropped_events_count, dropped_links_count, role, span_id, parent_span_id, name,
    attributes)
SELECT _otel.time_of(s.start), s.start, s.start + s.length, s.trace_id, i.resource + s.instance, i.scope, 257, s.kind,
       CASE WHEN random() < 0.02 THEN 2 END, 0, 0, 0, s.role, s.span_id, s.parent, s.name, s.attributes
FROM ids i CROSS JOIN (
    SELECT f.trace_id, (f.began + j * 3e6)::bigint AS start,
           CASE WHEN j = 0 THEN 4e7 * (1 + random() * 3) WHEN j >= 8 THEN 0
               ELSE 1e6 * exp(random() * 4) END::bigint AS length,
           (f.n * 7 + j / 3) %% 40 AS instance,
           CASE WHEN j = 0 THEN 2 WHEN j < 4 THEN 3 ELSE 1 END AS kind,
           CASE WHEN j = 0 THEN 1 WHEN j IN (4, 5) THEN 2 WHEN j >= 8 THEN 3 END::smallint AS role,
           decode(substr(md5(f.trace_id::text || j), 1, 16), 'hex') AS span_id,
           CASE WHEN j > 0 THEN decode(
               substr(md5(f.trace_id::text || CASE WHEN j < 4 THEN j - 1 ELSE 0 END), 1, 16), 'hex') END AS parent,
           CASE WHEN j = 0 THEN 'order ' || f.n %% 10 WHEN j IN (4, 5) THEN 'phase ' || j WHEN j >= 8 THEN 'CHECK_' || j
               ELSE 'operation ' || (f.n * j) %% 180 END AS name,
           CASE WHEN j = 0 THEN jsonb_build_object('otelgres.type', 'flow', 'otelgres.flow.name', 'order ' || f.n %% 10)
               WHEN j IN (4, 5) THEN jsonb_build_object('otelgres.type', 'phase')
               WHEN j >= 8 THEN jsonb_build_object('otelgres.type', 'checkpoint', 'symbol', 'S' || f.n %% 100)
               ELSE jsonb_build_object('http.request.method', 'GET', 'url.path', '/a/b/' || f.n %% 50)
           END AS attributes
    FROM flow f CROSS JOIN generate_series(0, 9) AS j
    WHERE NOT (j = 0 AND f.n %% 50 = 0)
    ORDER BY f.n, j
) s
"""
_LOGS = """
INSERT INTO _otel.logs (
    time, time_unix_nano, observed_time_unix_nano, resource_id, scope_id, severity_number, flags,
    dropped_attributes_count, trace_id, severity_text, body, attributes)
SELECT _otel.time_of(s.at), s.at, s.at,
       (SELECT min(id) FROM _otel.resources WHERE service_name = 'service-0') + s.n %% 40,
       (SELECT max(id) FROM _otel.scopes WHERE name = 'many'),
       CASE WHEN s.n %% 50 = 0 THEN 17 WHEN s.n %% 10 = 0 THEN 13 ELSE 9 END, 1, 0, gen_random_uuid(), 'INFO',
       'order ' || s.n || ' accepted for ' || md5(s.n::text), jsonb_build_object('n', s.n)
FROM (
    SELECT n, (1e9 * extract(epoch FROM
               now() - make_interval(secs => 1 + %(seconds)s * (%(flows)s - n) / %(flows)s)))::bigint AS at
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n, generate_series(1, 2)
) s
"""


def main(dsn: str, flows: int) -> None:
    """Fills the database, which must be migrated and should be empty."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_DIMENSIONS.encode())
        for first in range(0, flows, _CHUNK):
            known = {"seconds": _DAYS * 86400.0, "flows": flows, "first": first, "last": first + _CHUNK - 1}
            connection.execute(_SPANS.encode(), known)
            connection.execute(_LOGS.encode(), known)
            print(f"{first + _CHUNK:,} flows", file=sys.stderr)
        roll_up_hours(connection)
        connection.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000)
