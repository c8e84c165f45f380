CREATE OR REPLACE VIEW _otel.tenant_hour_rows AS
SELECT h.* FROM _otel.hour_stats h WHERE h.tenant_id = (SELECT _otel.current_tenant_id());
