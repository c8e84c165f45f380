CREATE OR REPLACE VIEW otel_tenant.logs WITH (security_barrier) AS
SELECT t.* FROM otel.logs t
WHERE t.resource_attributes ->> 'tenant.id' = (SELECT _otel.current_tenant());
COMMENT ON VIEW otel_tenant.logs IS 'Log records of the tenant, as in otel.logs.';
