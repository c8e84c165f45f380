CREATE OR REPLACE VIEW _otel.tenant_losses AS
SELECT l.* FROM _otel.losses l WHERE l.tenant_id = (SELECT _otel.current_tenant_id());
