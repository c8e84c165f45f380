CREATE OR REPLACE VIEW _otel.tenant_spans AS
SELECT s.* FROM _otel.spans s WHERE s.tenant_id = (SELECT _otel.current_tenant_id());
