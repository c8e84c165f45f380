CREATE OR REPLACE VIEW otel_tenant.metric_points WITH (security_barrier) AS
SELECT t.* FROM otel.metric_points t
WHERE t.resource_attributes ->> 'tenant.id' = (SELECT _otel.current_tenant());
COMMENT ON VIEW otel_tenant.metric_points IS 'Metric data points of the tenant, as in otel.metric_points.';
