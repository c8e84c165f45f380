-- Three parts, joined so that every filter is effective: `s`, one row per span, prunes days by start_time; `f`, one row
-- per flow, is found by flow_id and gives the days of its spans; `t` computes a whole flow at once by sorting, because
-- comparing spans in pairs would be too slow for a flow with 10,000 spans.
--
-- In `t` each span appears twice: under its own id as a parent, under its parent's id as a child. So one sort groups
-- every parent with its children, without a join. A span of another tenant is neither parent nor child.
CREATE OR REPLACE VIEW otel.phase_timing AS
SELECT f.trace_id AS flow_id,
       encode(uuid_send(f.trace_id), 'hex') AS trace_id,
       encode(s.span_id, 'hex') AS span_id,
       encode(s.parent_span_id, 'hex') AS parent_span_id,
       s.name AS phase,
       r.service_name,
       _otel.span_kind(s.kind) AS kind,
       s.start_time,
       greatest(s.end_time_unix_nano - s.start_time_unix_nano, 0)::double precision / 1e6 AS duration_ms,
       greatest(s.end_time_unix_nano - s.start_time_unix_nano - t.covered_ns, 0)::double precision / 1e6 AS self_ms,
       t.wait_ns::double precision / 1e6 AS wait_ms,
       greatest(s.end_time_unix_nano - s.start_time_unix_nano, 0)::double precision
           / nullif(f.end_time_unix_nano - f.start_time_unix_nano, 0) AS share,
       _otel.span_status(s.status_code) AS status,
       s.start_time_unix_nano,
       f.start_time AS flow_start_time,
       s.tenant_id
FROM _otel.spans s
JOIN _otel.merged_flows f ON f.trace_id = s.trace_id AND s.start_time BETWEEN f.start_time AND f.until
JOIN LATERAL (
    SELECT k.span_id, k.tenant_id, k.start_time,
           coalesce(max(k.covered_ns) FILTER (WHERE NOT k.is_child), 0) AS covered_ns,
           coalesce(max(k.wait_ns) FILTER (WHERE k.is_child), 0) AS wait_ns
    FROM (
        SELECT j.span_id, j.tenant_id, j.start_time, j.is_child,
               -- The union of the children: each adds the part that extends beyond all earlier ones.
               sum(greatest(least(j.end_ns, j.parent_end_ns) - greatest(j.start_ns, j.parent_start_ns, j.reached_ns), 0))
                   FILTER (WHERE j.is_child) OVER (PARTITION BY j.tenant_id, j.key)::bigint AS covered_ns,
               greatest(j.start_ns - coalesce(j.sibling_end_ns, j.parent_start_ns), 0) AS wait_ns
        FROM (
            SELECT i.key, i.span_id, i.tenant_id, i.start_time, i.start_ns, i.end_ns, i.is_child,
                   min(i.start_ns) FILTER (WHERE NOT i.is_child) OVER (PARTITION BY i.tenant_id, i.key) AS parent_start_ns,
                   max(i.end_ns) FILTER (WHERE NOT i.is_child) OVER (PARTITION BY i.tenant_id, i.key) AS parent_end_ns,
                   max(i.end_ns) FILTER (WHERE i.is_child) OVER (
                       PARTITION BY i.tenant_id, i.key ORDER BY i.start_ns, i.span_id, i.is_child
                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached_ns,
                   max(i.end_ns) FILTER (WHERE i.is_child) OVER (
                       PARTITION BY i.tenant_id, i.key ORDER BY i.start_ns
                       RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS sibling_end_ns
            FROM (
                SELECT e.key, e.is_child, c.span_id, c.tenant_id, c.start_time,
                       c.start_time_unix_nano AS start_ns,
                       greatest(c.end_time_unix_nano, c.start_time_unix_nano) AS end_ns
                FROM _otel.spans c
                CROSS JOIN LATERAL (VALUES (c.span_id, false), (c.parent_span_id, true)) AS e (key, is_child)
                WHERE c.trace_id = f.trace_id
                    AND c.start_time BETWEEN f.start_time AND f.until
                    AND c.role IS DISTINCT FROM 3
                    AND e.key IS NOT NULL
                    AND (NOT e.is_child OR c.parent_span_id <> c.span_id)
            ) i
        ) j
    ) k
    GROUP BY k.span_id, k.tenant_id, k.start_time
) t ON t.span_id = s.span_id AND t.tenant_id = s.tenant_id AND t.start_time = s.start_time
LEFT JOIN _otel.resources r ON r.id = s.resource_id
WHERE s.role IS DISTINCT FROM 3;

COMMENT ON VIEW otel.phase_timing IS
    'Where the time of a flow goes: one row per span that is not a checkpoint. Computed at query time, so that late '
    'spans are included. Filter by flow_id, trace_id or start_time; flow_start_time is the faster time filter.';
COMMENT ON COLUMN otel.phase_timing.flow_id IS 'The trace id as uuid.';
COMMENT ON COLUMN otel.phase_timing.trace_id IS 'The trace id as 32 hex digits.';
COMMENT ON COLUMN otel.phase_timing.span_id IS 'The span id as 16 hex digits.';
COMMENT ON COLUMN otel.phase_timing.parent_span_id IS 'The parent''s span id as 16 hex digits; NULL for a root.';
COMMENT ON COLUMN otel.phase_timing.phase IS 'Name of the span.';
COMMENT ON COLUMN otel.phase_timing.service_name IS 'The service of the span.';
COMMENT ON COLUMN otel.phase_timing.kind IS 'UNSPECIFIED, INTERNAL, SERVER, CLIENT, PRODUCER or CONSUMER.';
COMMENT ON COLUMN otel.phase_timing.start_time IS 'Start time, by the clock of the sender.';
COMMENT ON COLUMN otel.phase_timing.duration_ms IS
    'From start to end in milliseconds; 0 if the end is before the start.';
COMMENT ON COLUMN otel.phase_timing.self_ms IS
    'Milliseconds in which none of its children was running: the duration minus the union of the children inside it.';
COMMENT ON COLUMN otel.phase_timing.wait_ms IS
    'Idle milliseconds before it: since the latest end of its earlier siblings (0 if one was still running); for the '
    'first child, since the start of its parent. 0 for a root.';
COMMENT ON COLUMN otel.phase_timing.share IS
    'Its duration as a fraction of the duration of the flow, 0 to 1; NULL for a flow without duration.';
COMMENT ON COLUMN otel.phase_timing.status IS 'UNSET, OK or ERROR.';
COMMENT ON COLUMN otel.phase_timing.start_time_unix_nano IS 'Start time in nanoseconds since 1970.';
COMMENT ON COLUMN otel.phase_timing.flow_start_time IS 'Start time of the flow.';
COMMENT ON COLUMN otel.phase_timing.tenant_id IS 'Number of the tenant; 0 if none.';
