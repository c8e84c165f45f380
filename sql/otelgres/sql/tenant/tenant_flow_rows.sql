-- tenant_id <> 0 says that the index for tenants serves.
CREATE OR REPLACE VIEW _otel.tenant_flow_rows AS
SELECT f.* FROM _otel.flow_parts f WHERE f.tenant_id = (SELECT _otel.current_tenant_id()) AND f.tenant_id <> 0;
