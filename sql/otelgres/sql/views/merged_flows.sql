-- A flow with spans in several weeks has a row in flow_parts for each; here it is one row, that of its earliest week. A
-- flow in one week, as nearly all are, costs only a check of `linked`.
CREATE OR REPLACE VIEW _otel.merged_flows AS
SELECT p.trace_id,
       p.linked,
       p.start_time,
       p.start_time_unix_nano,
       -- No span of the flow starts later. Uses only columns of this table, so that the planner has statistics.
       CASE WHEN p.linked THEN 'infinity' ELSE _otel.time_of(p.end_time_unix_nano) END AS until,
       CASE WHEN p.linked THEN w.end_time_unix_nano ELSE p.end_time_unix_nano END AS end_time_unix_nano,
       CASE WHEN p.linked THEN w.span_count ELSE p.span_count END AS span_count,
       CASE WHEN p.linked THEN w.error_count ELSE p.error_count END AS error_count,
       CASE WHEN p.linked THEN w.root_span_id ELSE p.root_span_id END AS root_span_id,
       CASE WHEN p.linked THEN w.root_name ELSE p.root_name END AS root_name,
       CASE WHEN p.linked THEN w.root_status_code ELSE p.root_status_code END AS root_status_code,
       CASE WHEN p.linked THEN w.flow_name ELSE p.flow_name END AS flow_name,
       CASE WHEN p.linked THEN ARRAY(
           SELECT s.name FROM _otel.flow_rows q CROSS JOIN unnest(q.services) AS s (name)
           WHERE q.trace_id = p.trace_id AND q.linked
           GROUP BY s.name ORDER BY s.name
       ) ELSE p.services END AS services,
       CASE WHEN p.linked THEN ARRAY(
           SELECT c FROM _otel.flow_rows q CROSS JOIN unnest(q.checkpoints) AS c
           WHERE q.trace_id = p.trace_id AND q.linked
           ORDER BY c
       ) ELSE p.checkpoints END AS checkpoints
FROM _otel.flow_rows p
CROSS JOIN LATERAL (
    -- An aggregate without GROUP BY returns one row even if `p.linked` prevents it from reading anything.
    SELECT max(o.end_time_unix_nano) AS end_time_unix_nano,
           sum(o.span_count)::bigint AS span_count,
           sum(o.error_count)::bigint AS error_count,
           (array_agg(o.root_span_id ORDER BY o.root_start_time_unix_nano, o.root_span_id)
               FILTER (WHERE o.root_span_id IS NOT NULL))[1] AS root_span_id,
           (array_agg(o.root_name ORDER BY o.root_start_time_unix_nano, o.root_span_id)
               FILTER (WHERE o.root_span_id IS NOT NULL))[1] AS root_name,
           (array_agg(o.root_status_code ORDER BY o.root_start_time_unix_nano, o.root_span_id)
               FILTER (WHERE o.root_span_id IS NOT NULL))[1] AS root_status_code,
           min(o.flow_name) AS flow_name
    FROM _otel.flow_rows o
    WHERE p.linked AND o.trace_id = p.trace_id AND o.linked
) w
WHERE NOT p.linked
   OR NOT EXISTS (SELECT FROM _otel.flow_rows e WHERE e.trace_id = p.trace_id AND e.linked AND e.week < p.week);
COMMENT ON VIEW _otel.merged_flows IS 'flow_parts, with the parts of flows that span several weeks merged.';
