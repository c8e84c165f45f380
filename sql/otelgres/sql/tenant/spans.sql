CREATE OR REPLACE VIEW otel_tenant.spans WITH (security_barrier) AS
SELECT t.* FROM otel.spans t
WHERE t.resource_attributes ->> 'tenant.id' = (SELECT _otel.current_tenant());
COMMENT ON VIEW otel_tenant.spans IS 'Spans of the tenant, as in otel.spans.';
