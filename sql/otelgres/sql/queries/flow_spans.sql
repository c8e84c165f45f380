SELECT t.n, t.depth, t.span_id, t.parent_span_id, t.name, t.service_name, t.kind, t.start_time, t.offset_ms,
       t.duration_ms, t.self_ms, t.status, s.attributes ->> 'otelgres.type' AS type, s.status_message,
       t.parent_span_id IS NOT NULL AND t.depth = 0 AS orphan, c.share AS critical_share
FROM (SELECT a.* FROM otel.span_tree(%(flow)s::uuid) a ORDER BY a.n LIMIT %(most)s) t
LEFT JOIN LATERAL (
    SELECT s.attributes, s.status_message FROM otel.spans s
    WHERE s.flow_id = %(flow)s AND s.span_id = t.span_id AND s.start_time = t.start_time
    LIMIT 1
) s ON true
LEFT JOIN (
    SELECT p.span_id, sum(p.share) AS share FROM otel.critical_path(%(flow)s::uuid) p GROUP BY p.span_id
) c ON c.span_id = t.span_id
ORDER BY t.n
