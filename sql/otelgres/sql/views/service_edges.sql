-- One row per call, not aggregated, so that a filter by start_time can prune days. otel.service_map aggregates.
CREATE OR REPLACE VIEW otel.service_edges AS
SELECT c.start_time,
       p.service_name AS caller,
       r.service_name AS callee,
       _otel.span_kind(p.kind) AS caller_kind,
       _otel.span_kind(c.kind) AS callee_kind,
       p.name AS caller_operation,
       c.name AS callee_operation,
       greatest(c.end_time_unix_nano - c.start_time_unix_nano, 0)::double precision / 1e6 AS duration_ms,
       c.status_code IS NOT DISTINCT FROM 2 AS is_error,
       c.trace_id AS flow_id,
       encode(uuid_send(c.trace_id), 'hex') AS trace_id,
       encode(u.span_id, 'hex') AS caller_span_id,
       encode(c.span_id, 'hex') AS callee_span_id
FROM _otel.spans c
CROSS JOIN LATERAL (
    SELECT c.trace_id, c.parent_span_id AS span_id WHERE c.parent_span_id IS NOT NULL
    UNION  -- a consumer may refer to its producer in both ways
    SELECT (l.link ->> 'trace_id')::uuid, decode(l.link ->> 'span_id', 'hex')
    FROM jsonb_array_elements(CASE WHEN c.kind = 5 THEN c.links END) AS l (link)
) u
CROSS JOIN LATERAL (
    -- LIMIT makes this a lookup for each span; a join could become a hash of all spans (measured 60 times slower). The
    -- bounds on start_time limit the days searched, the order starts with the most likely one.
    SELECT o.kind, o.name, r.service_name
    FROM _otel.spans o JOIN _otel.resources r ON r.id = o.resource_id
    WHERE o.trace_id = u.trace_id AND o.span_id = u.span_id AND o.tenant_id = c.tenant_id
        AND o.start_time BETWEEN c.start_time - interval '24 hours' AND c.start_time + interval '1 hour'
    ORDER BY o.start_time DESC LIMIT 1
) p
JOIN _otel.resources r ON r.id = c.resource_id
WHERE c.role IS DISTINCT FROM 3
    -- Bit 8 without bit 9: the parent is local. Most spans need no lookup.
    AND ((c.flags & 768) <> 256 OR c.kind IN (2, 5))
    AND p.service_name <> r.service_name;

COMMENT ON VIEW otel.service_edges IS
    'Calls between services: one row per span whose parent (for consumers also: whose linked span) belongs to another '
    'service of the same tenant and started at most 24 hours earlier. Filter by start_time or flow_id; otel.service_map has totals.';
COMMENT ON COLUMN otel.service_edges.start_time IS 'Start time of the called span.';
COMMENT ON COLUMN otel.service_edges.caller IS 'The service of the parent or linked span.';
COMMENT ON COLUMN otel.service_edges.callee IS 'The service that was called.';
COMMENT ON COLUMN otel.service_edges.caller_kind IS 'Kind of the calling span: CLIENT, PRODUCER …';
COMMENT ON COLUMN otel.service_edges.callee_kind IS 'Kind of the called span: SERVER, CONSUMER …';
COMMENT ON COLUMN otel.service_edges.caller_operation IS 'Name of the calling span.';
COMMENT ON COLUMN otel.service_edges.callee_operation IS 'Name of the called span.';
COMMENT ON COLUMN otel.service_edges.duration_ms IS 'Duration of the called span in milliseconds.';
COMMENT ON COLUMN otel.service_edges.is_error IS 'Whether the called span ended with status ERROR.';
COMMENT ON COLUMN otel.service_edges.flow_id IS 'Trace id of the called span as uuid.';
COMMENT ON COLUMN otel.service_edges.trace_id IS 'Trace id of the called span as 32 hex digits.';
COMMENT ON COLUMN otel.service_edges.caller_span_id IS 'Span id of the calling span, 16 hex digits.';
COMMENT ON COLUMN otel.service_edges.callee_span_id IS 'Span id of the called span, 16 hex digits.';
