CREATE OR REPLACE VIEW _otel.tenant_series AS
SELECT s.* FROM _otel.series s JOIN _otel.resources r ON r.id = s.resource_id
WHERE r.tenant_id = (SELECT _otel.current_tenant_id());
