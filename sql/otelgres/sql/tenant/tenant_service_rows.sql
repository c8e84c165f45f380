CREATE OR REPLACE VIEW _otel.tenant_service_rows AS
SELECT t.* FROM _otel.service_stats t WHERE t.tenant_id = (SELECT _otel.current_tenant_id());
