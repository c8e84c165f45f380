-- The rows of flow_parts for whole flows: those of tenants are parts of the same flows. IS TRUE: otherwise an index might be
-- read whole for this condition alone.
CREATE OR REPLACE VIEW _otel.flow_rows AS SELECT t.* FROM _otel.flow_parts t WHERE (t.tenant_id = 0) IS TRUE;
