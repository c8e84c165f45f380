CREATE OR REPLACE VIEW otel_tenant.span_starts WITH (security_barrier) AS
SELECT t.* FROM otel.span_starts t
WHERE t.resource_attributes ->> 'tenant.id' = (SELECT _otel.current_tenant());
COMMENT ON VIEW otel_tenant.span_starts IS 'Start records of the tenant, as in otel.span_starts.';
