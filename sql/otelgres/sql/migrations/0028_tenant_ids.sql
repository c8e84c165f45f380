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

ALTER TABLE _otel.spans DROP CONSTRAINT spans_pkey, ADD PRIMARY KEY (trace_id, span_id, tenant_id, start_time);
ALTER TABLE _otel.flow_parts DROP CONSTRAINT flow_parts_pkey, ADD PRIMARY KEY (trace_id, tenant_id, week);
ALTER TABLE _otel.open_starts DROP CONSTRAINT open_starts_pkey, ADD PRIMARY KEY (trace_id, span_id, tenant_id, time);

-- Only where there are tenants: each statement reads all rows. Afterwards the roll-ups of tenants are made from their spans.
DO $$
DECLARE
    v_epoch CONSTANT timestamptz := '2024-01-01 00:00:00+00';
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

    INSERT INTO _otel.flow_parts (
        week, trace_id, tenant_id, start_time, start_time_unix_nano, end_time_unix_nano, span_count, error_count,
        root_start_time_unix_nano, root_status_code, root_span_id, root_name, flow_name, services, checkpoints, linked)
    SELECT date_bin('7 days', s.start_time, v_epoch) AS week, s.trace_id, s.tenant_id, min(s.start_time),
           min(s.start_time_unix_nano), max(greatest(s.end_time_unix_nano, s.start_time_unix_nano)), count(*),
           count(*) FILTER (WHERE s.status_code = 2),
           min(s.start_time_unix_nano) FILTER (WHERE s.parent_span_id IS NULL),
           (array_agg(s.status_code ORDER BY s.start_time_unix_nano, s.span_id) FILTER (WHERE s.parent_span_id IS NULL))[1],
           (array_agg(s.span_id ORDER BY s.start_time_unix_nano, s.span_id) FILTER (WHERE s.parent_span_id IS NULL))[1],
           (array_agg(s.name ORDER BY s.start_time_unix_nano, s.span_id) FILTER (WHERE s.parent_span_id IS NULL))[1],
           min(s.attributes ->> 'otelgres.flow.name') FILTER (WHERE s.role IS NOT NULL),
           array_agg(DISTINCT r.service_name),
           (array_agg((s.start_time_unix_nano, s.name)::_otel.checkpoint ORDER BY s.start_time_unix_nano, s.name)
               FILTER (WHERE s.role = 3))[greatest(1, count(*) FILTER (WHERE s.role = 3) - 255):],
           bool_or(f.linked)
    FROM _otel.spans s
    JOIN _otel.resources r ON r.id = s.resource_id
    JOIN _otel.flow_parts f ON f.trace_id = s.trace_id AND f.week = date_bin('7 days', s.start_time, v_epoch)
    WHERE s.tenant_id <> 0
    GROUP BY 1, 2, 3;

    CREATE TEMPORARY TABLE tenant_minutes ON COMMIT DROP AS
    SELECT DISTINCT date_bin('1 minute', start_time, v_epoch) AS minute FROM _otel.spans
    WHERE tenant_id <> 0 AND role IS DISTINCT FROM 3;
    DELETE FROM _otel.span_stats t USING tenant_minutes m WHERE m.minute = t.minute;
    INSERT INTO _otel.span_stats (
        minute, key, tenant_id, slot, kind, role, count, error_count, duration_sum_ns, duration_min_ns, duration_max_ns,
        service_name, name, latency_buckets, latency_counts)
    SELECT g.minute,
           md5(CASE g.tenant_id WHEN 0 THEN (g.kind, g.role, g.name, g.service_name)::text
                                ELSE (g.kind, g.role, g.name, g.service_name, g.tenant_id)::text END)::uuid,
           g.tenant_id, 0, g.kind, g.role, sum(g.count), sum(g.error_count), sum(g.sum), min(g.min), max(g.max),
           g.service_name, g.name, array_agg(g.bucket ORDER BY g.bucket), array_agg(g.count ORDER BY g.bucket)
    FROM (
        SELECT m.minute, s.tenant_id, s.kind, s.role, s.name, r.service_name,
               _otel.latency_bucket(s.end_time_unix_nano - s.start_time_unix_nano) AS bucket,
               count(*) AS count, count(*) FILTER (WHERE s.status_code = 2) AS error_count,
               sum((s.end_time_unix_nano - s.start_time_unix_nano)::double precision) AS sum,
               min(s.end_time_unix_nano - s.start_time_unix_nano) AS min,
               max(s.end_time_unix_nano - s.start_time_unix_nano) AS max
        FROM tenant_minutes m
        JOIN _otel.spans s ON date_bin('1 minute', s.start_time, v_epoch) = m.minute
        JOIN _otel.resources r ON r.id = s.resource_id
        WHERE s.role IS DISTINCT FROM 3
        GROUP BY 1, 2, 3, 4, 5, 6, 7
    ) g
    GROUP BY g.minute, g.tenant_id, g.kind, g.role, g.name, g.service_name;
    INSERT INTO _otel.rollup_hours_changed (hour, slot)
    SELECT DISTINCT date_bin('1 hour', minute, v_epoch), 0 FROM tenant_minutes
    ON CONFLICT DO NOTHING;
END
$$;

CREATE INDEX flow_parts_tenant ON _otel.flow_parts (tenant_id, start_time) WHERE tenant_id <> 0;
CREATE INDEX logs_tenant ON _otel.logs (tenant_id, time) WHERE tenant_id IS NOT NULL;
