CREATE OR REPLACE VIEW _otel.tenant_span_stats AS
SELECT t.* FROM _otel.span_stats t WHERE t.tenant_id = (SELECT _otel.current_tenant_id());
