CREATE OR REPLACE VIEW otel_tenant.in_flight WITH (security_barrier) AS
SELECT t.* FROM otel.in_flight t
WHERE t.resource_attributes ->> 'tenant.id' = (SELECT _otel.current_tenant());
COMMENT ON VIEW otel_tenant.in_flight IS 'Flows and phases of the tenant that have not ended, as in otel.in_flight.';
