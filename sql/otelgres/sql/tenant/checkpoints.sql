CREATE OR REPLACE VIEW otel_tenant.checkpoints WITH (security_barrier) AS
SELECT s.flow_id, s.trace_id, s.name AS checkpoint, s.start_time AS time, s.start_time_unix_nano AS time_unix_nano,
       s.service_name, s.attributes, s.span_id, s.parent_span_id, s.status_code AS status
FROM otel.spans s
WHERE s.resource_attributes ->> 'tenant.id' = (SELECT _otel.current_tenant())
    AND s.attributes ->> 'otelgres.type' = 'checkpoint';
COMMENT ON VIEW otel_tenant.checkpoints IS 'Checkpoints passed by the tenant''s services.';
