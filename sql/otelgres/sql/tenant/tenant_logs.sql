CREATE OR REPLACE VIEW _otel.tenant_logs AS
SELECT l.* FROM _otel.logs l WHERE l.tenant_id = (SELECT _otel.current_tenant_id());
