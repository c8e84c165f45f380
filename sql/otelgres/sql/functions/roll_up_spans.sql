-- Updates flow_parts and span_stats for every INSERT or COPY into spans. All merges below are commutative, so that
-- late, repeated and out-of-order spans give the same rows as spans in order. Rows are written in key order, so that
-- writers with the same flows do not deadlock.
-- In flow_parts a span of a tenant counts twice: in the row of the whole flow (tenant_id 0) and in that of the tenant.
-- No nested loops: the plan is made for the first batch of a session, which may have one span, and used for batches of
-- thousands.
CREATE OR REPLACE FUNCTION _otel.roll_up_spans() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET enable_nestloop = off AS $$
DECLARE
    v_epoch CONSTANT timestamptz := '2024-01-01 00:00:00+00';
    v_week CONSTANT timestamptz := date_bin('7 days', now(), v_epoch);
    v_slot CONSTANT smallint := pg_backend_pid() % 64;
    v_most CONSTANT integer := 5000;
    v_overflow CONSTANT text := 'otelgres.statistics.overflow';
    v_tenants boolean;  -- whether any has a tenant; if not, the parts of queries that are for tenants cost nothing
    v_first timestamptz;
    v_last timestamptz;
    v_new uuid[];
    v_first_new timestamptz;
    v_last_new timestamptz;
BEGIN
    SELECT min(start_time), max(start_time), max(tenant_id) > 0 INTO v_first, v_last, v_tenants FROM new_spans;
    IF v_first IS NULL THEN
        RETURN NULL;
    END IF;

    -- Two writers that add the same flow in two different weeks at the same time would not see each other's part and
    -- leave both unlinked. So writing to another week than the current one, or near the change of weeks, is exclusive.
    IF v_first < v_week OR v_last >= v_week + interval '7 days'
        OR now() < v_week + interval '10 minutes' OR now() > v_week + interval '6 days 23 hours 50 minutes' THEN
        LOCK TABLE ONLY _otel.lock_flow_parts IN EXCLUSIVE MODE;
    ELSE
        LOCK TABLE ONLY _otel.lock_flow_parts IN ROW EXCLUSIVE MODE;
    END IF;

    WITH part AS (
        SELECT trace_id,
               date_bin('7 days', start_time, v_epoch) AS week,
               resource_id,
               min(start_time) AS start_time,
               min(start_time_unix_nano) AS start_time_unix_nano,
               max(greatest(end_time_unix_nano, start_time_unix_nano)) AS end_time_unix_nano,
               count(*) AS span_count,
               count(*) FILTER (WHERE status_code = 2) AS error_count,
               min(attributes ->> 'otelgres.flow.name') FILTER (WHERE role IS NOT NULL) AS flow_name
        FROM new_spans
        GROUP BY 1, 2, 3
    ), flow AS (
        SELECT p.trace_id, p.tenant_id, p.week,
               min(p.start_time) AS start_time,
               min(p.start_time_unix_nano) AS start_time_unix_nano,
               max(p.end_time_unix_nano) AS end_time_unix_nano,
               sum(p.span_count)::bigint AS span_count,
               sum(p.error_count)::bigint AS error_count,
               min(p.flow_name) AS flow_name,
               array_agg(DISTINCT p.service_name) AS services
        FROM (
            SELECT p.*, 0 AS tenant_id, r.service_name FROM part p JOIN _otel.resources r ON r.id = p.resource_id
            UNION ALL
            SELECT p.*, r.tenant_id, r.service_name FROM part p JOIN _otel.resources r ON r.id = p.resource_id
            WHERE v_tenants AND r.tenant_id <> 0
        ) p
        GROUP BY 1, 2, 3
    ), root AS (
        SELECT DISTINCT ON (trace_id, tenant_id, week)
               trace_id, tenant_id, date_bin('7 days', start_time, v_epoch) AS week,
               start_time_unix_nano, status_code, span_id, name
        FROM (
            SELECT trace_id, 0 AS tenant_id, start_time, start_time_unix_nano, status_code, span_id, name
            FROM new_spans WHERE parent_span_id IS NULL
            UNION ALL
            SELECT trace_id, tenant_id, start_time, start_time_unix_nano, status_code, span_id, name
            FROM new_spans WHERE v_tenants AND tenant_id <> 0 AND parent_span_id IS NULL
        ) r
        ORDER BY trace_id, tenant_id, week, start_time_unix_nano, span_id
    ), path AS (
        SELECT trace_id, tenant_id, date_bin('7 days', start_time, v_epoch) AS week,
               array_agg((start_time_unix_nano, name)::_otel.checkpoint ORDER BY start_time_unix_nano, name) AS checkpoints
        FROM (
            SELECT trace_id, 0 AS tenant_id, start_time, start_time_unix_nano, name FROM new_spans WHERE role = 3
            UNION ALL
            SELECT trace_id, tenant_id, start_time, start_time_unix_nano, name
            FROM new_spans WHERE v_tenants AND tenant_id <> 0 AND role = 3
        ) c
        GROUP BY 1, 2, 3
    ), written AS (
        INSERT INTO _otel.flow_parts AS f (
            week, trace_id, tenant_id, start_time, start_time_unix_nano, end_time_unix_nano, span_count, error_count,
            root_start_time_unix_nano, root_status_code, root_span_id, root_name, flow_name, services, checkpoints)
        SELECT n.week, n.trace_id, n.tenant_id, n.start_time, n.start_time_unix_nano, n.end_time_unix_nano, n.span_count,
               n.error_count, root.start_time_unix_nano, root.status_code, root.span_id, root.name, n.flow_name, n.services,
               _otel.checkpoints_merged(path.checkpoints, NULL)
        FROM flow n
        LEFT JOIN root USING (trace_id, tenant_id, week)
        LEFT JOIN path USING (trace_id, tenant_id, week)
        ORDER BY n.trace_id, n.tenant_id, n.week
        ON CONFLICT (trace_id, tenant_id, week) DO UPDATE SET
            start_time = least(f.start_time, excluded.start_time),
            start_time_unix_nano = least(f.start_time_unix_nano, excluded.start_time_unix_nano),
            end_time_unix_nano = greatest(f.end_time_unix_nano, excluded.end_time_unix_nano),
            span_count = f.span_count + excluded.span_count,
            error_count = f.error_count + excluded.error_count,
            merges = f.merges + 1,
            (root_start_time_unix_nano, root_status_code, root_span_id, root_name) = (
                SELECT r.* FROM (VALUES
                    (f.root_start_time_unix_nano, f.root_status_code, f.root_span_id, f.root_name),
                    (excluded.root_start_time_unix_nano, excluded.root_status_code, excluded.root_span_id,
                     excluded.root_name)) AS r (at, status_code, span_id, name)
                ORDER BY r.at NULLS LAST, r.span_id LIMIT 1),
            flow_name = least(f.flow_name, excluded.flow_name),
            services = CASE WHEN f.services @> excluded.services THEN f.services ELSE ARRAY(
                SELECT s FROM unnest(f.services || excluded.services) s GROUP BY s ORDER BY s) END,
            checkpoints = _otel.checkpoints_merged(f.checkpoints, excluded.checkpoints)
        RETURNING f.trace_id, f.week, f.merges = 0 AS is_new
    )
    SELECT array_agg(DISTINCT trace_id), min(week), max(week) INTO v_new, v_first_new, v_last_new
    FROM written WHERE is_new;
    IF v_new IS NOT NULL THEN
        PERFORM _otel.link_flow_parts(v_new, v_first_new, v_last_new);
    END IF;

    -- Names without end must not become rows without end: the operations that a tenant adds to a minute beyond v_most,
    -- for each writer, are counted as one. Stored ones are looked up in subqueries, so that each is an index scan.
    WITH operation AS MATERIALIZED (
        SELECT g.minute, _otel.operation_key(g.tenant_id, g.kind, g.role, g.name, r.service_name) AS key, g.tenant_id,
               g.kind, g.role, sum(g.count) AS count, sum(g.error_count) AS error_count,
               sum(g.duration_sum_ns) AS duration_sum_ns, min(g.duration_min_ns) AS duration_min_ns,
               max(g.duration_max_ns) AS duration_max_ns, r.service_name, g.name,
               array_agg(g.bucket ORDER BY g.bucket) AS buckets, array_agg(g.count ORDER BY g.bucket) AS counts
        FROM (
            SELECT date_bin('1 minute', start_time, v_epoch) AS minute, tenant_id, resource_id, name, kind, role,
                   _otel.latency_bucket(end_time_unix_nano - start_time_unix_nano) AS bucket,
                   count(*) AS count,
                   count(*) FILTER (WHERE status_code = 2) AS error_count,
                   sum((end_time_unix_nano - start_time_unix_nano)::double precision) AS duration_sum_ns,
                   min(end_time_unix_nano - start_time_unix_nano) AS duration_min_ns,
                   max(end_time_unix_nano - start_time_unix_nano) AS duration_max_ns
            FROM new_spans
            WHERE role IS DISTINCT FROM 3  -- a checkpoint has no duration
            GROUP BY 1, 2, 3, 4, 5, 6, 7
        ) g JOIN _otel.resources r ON r.id = g.resource_id
        GROUP BY g.minute, g.tenant_id, r.service_name, g.name, g.kind, g.role
    ), found AS MATERIALIZED (
        SELECT o.*, (
            SELECT true FROM _otel.span_stats t WHERE t.minute = o.minute AND t.key = o.key AND t.slot = v_slot
        ) IS NULL AS is_new
        FROM operation o
    ), used AS MATERIALIZED (
        SELECT a.minute, a.tenant_id, (
            SELECT count(*) FROM (
                SELECT FROM _otel.span_stats t
                WHERE t.minute = a.minute AND t.slot = v_slot AND t.tenant_id = a.tenant_id LIMIT v_most
            ) u) AS count
        FROM (SELECT DISTINCT minute, tenant_id FROM found WHERE is_new) a
    ), placed AS MATERIALIZED (
        -- Not found by a join of the operations: of a minute with many it would compare each with each.
        SELECT f.*, f.is_new AND u.count + row_number() OVER (
            PARTITION BY f.minute, f.tenant_id, f.is_new ORDER BY f.key) > v_most AS is_beyond
        FROM found f LEFT JOIN used u USING (minute, tenant_id)
    )
    INSERT INTO _otel.span_stats AS t (
        minute, key, tenant_id, slot, kind, role, count, error_count, duration_sum_ns, duration_min_ns, duration_max_ns,
        service_name, name, latency_buckets, latency_counts)
    SELECT o.minute, o.key, o.tenant_id, v_slot, o.kind, o.role, o.count, o.error_count, o.duration_sum_ns,
           o.duration_min_ns, o.duration_max_ns, o.service_name, o.name, o.buckets, o.counts
    FROM placed o
    WHERE NOT o.is_beyond
    UNION ALL
    SELECT o.minute, _otel.operation_key(o.tenant_id, 0, NULL, v_overflow, v_overflow), o.tenant_id, v_slot, 0, NULL,
           sum(o.count), sum(o.error_count), sum(o.duration_sum_ns), min(o.duration_min_ns), max(o.duration_max_ns),
           v_overflow, v_overflow, otel.array_concat(o.buckets), otel.array_concat(o.counts)
    FROM placed o
    WHERE o.is_beyond
    GROUP BY o.minute, o.tenant_id
    ORDER BY 1, 2
    ON CONFLICT (minute, key, slot) DO UPDATE SET
        count = t.count + excluded.count,
        error_count = t.error_count + excluded.error_count,
        duration_sum_ns = t.duration_sum_ns + excluded.duration_sum_ns,
        duration_min_ns = least(t.duration_min_ns, excluded.duration_min_ns),
        duration_max_ns = greatest(t.duration_max_ns, excluded.duration_max_ns),
        (latency_buckets, latency_counts) = (
            SELECT array_agg(m.bucket ORDER BY m.bucket), array_agg(m.count ORDER BY m.bucket)
            FROM (
                SELECT b.bucket, sum(b.count)::bigint AS count
                FROM (
                    SELECT unnest(t.latency_buckets) AS bucket, unnest(t.latency_counts) AS count
                    UNION ALL
                    SELECT unnest(excluded.latency_buckets), unnest(excluded.latency_counts)
                ) b GROUP BY b.bucket
            ) m);

    -- After the lock above is taken: _otel.hours_to_roll_up relies on this order.
    IF date_bin('1 hour', v_first, v_epoch) = date_bin('1 hour', v_last, v_epoch) THEN
        INSERT INTO _otel.rollup_hours_changed (hour, slot) VALUES (date_bin('1 hour', v_first, v_epoch), v_slot)
        ON CONFLICT DO NOTHING;
    ELSE
        INSERT INTO _otel.rollup_hours_changed (hour, slot)
        SELECT date_bin('1 hour', start_time, v_epoch) AS hour, v_slot FROM new_spans GROUP BY 1 ORDER BY 1
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

-- Only if it is missing: to create it again would stop readers and writers until the end of the migration.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = '_otel.spans'::regclass AND tgname = 'roll_up_spans') THEN
        CREATE TRIGGER roll_up_spans AFTER INSERT ON _otel.spans
            REFERENCING NEW TABLE AS new_spans FOR EACH STATEMENT EXECUTE FUNCTION _otel.roll_up_spans();
    END IF;
END
$$;
