-- Tenants, by the resource attribute tenant.id. Row-level security on the tables is not possible: COPY FROM, which the
-- receiver uses, is not allowed on tables with it. So tenants may only read views that contain their own rows.
ALTER TABLE _otel.resources ADD COLUMN tenant text GENERATED ALWAYS AS (attributes ->> 'tenant.id') STORED;
CREATE INDEX resources_tenant ON _otel.resources (tenant) WHERE tenant IS NOT NULL;

CREATE SCHEMA otel_tenant;
COMMENT ON SCHEMA otel_tenant IS 'Telemetry of the tenant that is logged in.';

-- The tenant of each login, set by the owner (`otelgres role create NAME --kind tenant --tenant T`).
CREATE TABLE _otel.tenants (
    role_name name PRIMARY KEY,
    tenant text NOT NULL
);
