-- The tenant as a column, and part of every key by which one row takes the place of another or closes it. 0: no tenant.

CREATE TABLE _otel.tenant_ids (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash uuid NOT NULL UNIQUE,          -- of the name, which may be too long for an index entry
    name text NOT NULL
);

DROP VIEW IF EXISTS otel_tenant.spans, otel_tenant.logs, otel_tenant.span_starts, otel_tenant.in_flight,
    otel_tenant.metric_points, otel_tenant.checkpoints, otel_tenant.flows;
DROP FUNCTION IF EXISTS _otel.current_tenant();

INSERT INTO _otel.tenant_ids (hash, name)
SELECT encode(substring(sha256(convert_to(r.tenant, 'UTF8')) FROM 1 FOR 16), 'hex')::uuid, r.tenant
FROM (
    SELECT DISTINCT tenant FROM _otel.resources
    WHERE tenant <> '' AND jsonb_typeof(attributes -> 'tenant.id') = 'string'
) r;
ALTER TABLE _otel.resources ADD COLUMN tenant_id integer NOT NULL DEFAULT 0;
UPDATE _otel.resources r SET tenant_id = t.id FROM _otel.tenant_ids t
WHERE t.name = r.tenant AND jsonb_typeof(r.attributes -> 'tenant.id') = 'string';
ALTER TABLE _otel.resources DROP COLUMN tenant;
CREATE INDEX resources_tenant_id ON _otel.resources (tenant_id);

ALTER TABLE _otel.spans ADD COLUMN tenant_id integer NOT NULL DEFAULT 0;
-- NULL, here and in losses: no tenant, which takes no space.
ALTER TABLE _otel.logs ADD COLUMN tenant_id integer;
ALTER TABLE _otel.losses ADD COLUMN tenant_id integer;
ALTER TABLE _otel.flow_parts ADD COLUMN tenant_id integer NOT NULL DEFAULT 0;  -- 0: the whole flow, of all tenants
ALTER TABLE _otel.span_stats ADD COLUMN tenant_id integer NOT NULL DEFAULT 0;
ALTER TABLE _otel.hour_stats ADD COLUMN tenant_id integer NOT NULL DEFAULT 0;  -- 0: of all tenants
ALTER TABLE _otel.service_stats ADD COLUMN tenant_id integer NOT NULL DEFAULT 0;  -- 0: of all tenants
ALTER TABLE _otel.open_starts ADD COLUMN tenant_id integer NOT NULL DEFAULT 0;

-- Only where there are tenants: each statement reads all rows.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM _otel.tenant_ids) THEN
        RETURN;
    END IF;
    UPDATE _otel.spans s SET tenant_id = r.tenant_id FROM _otel.resources r
    WHERE r.id = s.resource_id AND r.tenant_id <> 0;
    -- As the codec stores the uid of a tenant's record.
    UPDATE _otel.logs l SET
        tenant_id = r.tenant_id,
        uid = encode(substring(sha256(int4send(r.tenant_id) || uuid_send(l.uid)) FROM 1 FOR 16), 'hex')::uuid
    FROM _otel.resources r WHERE r.id = l.resource_id AND r.tenant_id <> 0;
    UPDATE _otel.open_starts o SET tenant_id = l.tenant_id FROM _otel.logs l
    WHERE l.trace_id = o.trace_id AND l.span_id = o.span_id AND l.time = o.time
        AND l.event_name = 'otelgres.span.start' AND l.tenant_id IS NOT NULL;
END
$$;

ALTER TABLE _otel.spans DROP CONSTRAINT spans_pkey, ADD PRIMARY KEY (trace_id, span_id, tenant_id, start_time);
ALTER TABLE _otel.flow_parts DROP CONSTRAINT flow_parts_pkey, ADD PRIMARY KEY (trace_id, tenant_id, week);
ALTER TABLE _otel.open_starts DROP CONSTRAINT open_starts_pkey, ADD PRIMARY KEY (trace_id, span_id, tenant_id, time);

CREATE INDEX flow_parts_tenant ON _otel.flow_parts (tenant_id, start_time) WHERE tenant_id <> 0;
CREATE INDEX logs_tenant ON _otel.logs (tenant_id, time) WHERE tenant_id IS NOT NULL;
