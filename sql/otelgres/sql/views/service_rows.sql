-- The rows of service_stats for all tenants together.
CREATE OR REPLACE VIEW _otel.service_rows AS SELECT t.* FROM _otel.service_stats t WHERE t.tenant_id = 0;
