-- Tenants: what a resource says of itself by the attribute tenant.id. Row-level security on the tables themselves is not
-- to be had: COPY FROM refuses tables with it for every role that it holds for, and the receiver writes by COPY. So
-- tenants read views that show their own rows only, and have no right to anything else.
ALTER TABLE _otel.resources ADD COLUMN tenant text GENERATED ALWAYS AS (attributes ->> 'tenant.id') STORED;
CREATE INDEX resources_tenant ON _otel.resources (tenant) WHERE tenant IS NOT NULL;

CREATE SCHEMA otel_tenant;
COMMENT ON SCHEMA otel_tenant IS 'Telemetry of the tenant that is logged in.';

-- Which login reads as which tenant. Bound by the owner (`otelgres role create NAME --kind tenant --tenant T`).
CREATE TABLE _otel.tenants (
    role_name name PRIMARY KEY,
    tenant text NOT NULL
);
