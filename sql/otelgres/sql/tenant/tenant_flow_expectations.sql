-- The owner's table names flows of everybody: a tenant has what its own services declare.
CREATE OR REPLACE VIEW _otel.tenant_flow_expectations AS
SELECT e.* FROM _otel.flow_expectations e WHERE false;
