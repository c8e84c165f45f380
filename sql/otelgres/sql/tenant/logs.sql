CREATE OR REPLACE VIEW otel_tenant.logs WITH (security_barrier) AS
SELECT t.* FROM otel.logs t
WHERE t.resource_attributes ->> 'tenant.id' = (SELECT _otel.current_tenant());
COMMENT ON VIEW otel_tenant.logs IS 'Every log record of the tenant, as otel.logs.';
