-- The rows of hour_stats for all tenants together.
CREATE OR REPLACE VIEW _otel.hour_rows AS SELECT t.* FROM _otel.hour_stats t WHERE t.tenant_id = 0;
