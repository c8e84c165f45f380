-- From the spans, not from the roll-up: a flow may have spans of several tenants, and each tenant may see only its own.
CREATE OR REPLACE VIEW otel_tenant.flows WITH (security_barrier) AS
SELECT s.flow_id,
       s.trace_id,
       coalesce((array_agg(s.name ORDER BY s.start_time_unix_nano) FILTER (WHERE s.parent_span_id IS NULL))[1],
                (array_agg(s.name ORDER BY s.start_time_unix_nano))[1]) AS name,
       min(s.start_time) AS start_time,
       max(s.end_time) AS end_time,
       (max(s.end_time_unix_nano) - min(s.start_time_unix_nano))::double precision / 1e6 AS duration_ms,
       count(*) AS span_count,
       count(*) FILTER (WHERE s.status_code = 'ERROR') AS error_count,
       array_agg(DISTINCT s.service_name) AS services,
       array_agg(s.name ORDER BY s.start_time_unix_nano) FILTER (WHERE s.attributes ->> 'otelgres.type' = 'checkpoint')
           AS checkpoint_path,
       bool_or(s.parent_span_id IS NULL) AS complete,
       coalesce((array_agg(s.status_code ORDER BY s.start_time_unix_nano) FILTER (WHERE s.parent_span_id IS NULL))[1],
                CASE WHEN bool_or(s.status_code = 'ERROR') THEN 'ERROR' ELSE 'UNSET' END) AS status
FROM otel.spans s
WHERE s.resource_attributes ->> 'tenant.id' = (SELECT _otel.current_tenant())
GROUP BY s.flow_id, s.trace_id;
COMMENT ON VIEW otel_tenant.flows IS
    'Flows, computed from the tenant''s own spans. Filter by flow_id; a filter by start_time reads all spans of the '
    'tenant.';
