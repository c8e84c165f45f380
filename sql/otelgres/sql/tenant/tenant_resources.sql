CREATE OR REPLACE VIEW _otel.tenant_resources AS
SELECT r.* FROM _otel.resources r WHERE r.tenant_id = (SELECT _otel.current_tenant_id());
