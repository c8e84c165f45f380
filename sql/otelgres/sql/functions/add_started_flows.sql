-- Adds started flows of which no span has arrived, for example because the process has died; the roll-up itself adds
-- flows only with their spans. Covers starts within p_since (at most a day), except for the last minute, whose spans may
-- still arrive.
-- Returns the number of flows added.
CREATE OR REPLACE FUNCTION _otel.add_started_flows(p_since interval DEFAULT '1 hour') RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    v_epoch CONSTANT timestamptz := '2024-01-01 00:00:00+00';
    v_new uuid[];
    v_first timestamptz;
    v_last timestamptz;
BEGIN
    p_since := least(p_since, interval '1 day');
    SELECT array_agg(DISTINCT l.trace_id), date_bin('7 days', min(l.time), v_epoch), date_bin('7 days', max(l.time), v_epoch)
    INTO v_new, v_first, v_last
    FROM _otel.logs l
    WHERE l.event_name = 'otelgres.span.start' AND l.time > now() - p_since AND l.time < now() - interval '1 minute'
        AND l.attributes ->> 'otelgres.type' = 'flow' AND l.attributes ->> 'otelgres.flow.name' <> ''
        AND NOT EXISTS (
            SELECT FROM _otel.flow_parts f WHERE f.trace_id = l.trace_id AND f.tenant_id = coalesce(l.tenant_id, 0));
    IF v_new IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM _otel.make_partition('flow_parts', v_first), _otel.make_partition('flow_parts', v_last);
    -- Exclusive, as in roll_up_spans at the change of weeks: no other part of these flows may be added meanwhile.
    LOCK TABLE ONLY _otel.lock_flow_parts IN EXCLUSIVE MODE;
    WITH entered AS (
        INSERT INTO _otel.flow_parts (
            week, trace_id, tenant_id, start_time, start_time_unix_nano, end_time_unix_nano, span_count, error_count,
            flow_name, services)
        SELECT date_bin('7 days', min(l.time), v_epoch), l.trace_id, l.tenant_id, min(l.time), min(l.time_unix_nano),
               min(l.time_unix_nano), 0, 0, min(l.attributes ->> 'otelgres.flow.name'),
               array_agg(DISTINCT l.service_name)
        FROM (
            SELECT n.trace_id, n.time, n.time_unix_nano, n.attributes, r.service_name,
                   unnest(CASE WHEN n.tenant_id IS NULL THEN '{0}' ELSE ARRAY[0, n.tenant_id] END) AS tenant_id
            FROM _otel.logs n JOIN _otel.resources r ON r.id = n.resource_id
            WHERE n.event_name = 'otelgres.span.start' AND n.trace_id = ANY (v_new)
                AND n.time > now() - p_since AND n.time < now() - interval '1 minute'
        ) l
        WHERE NOT EXISTS (SELECT FROM _otel.flow_parts f WHERE f.trace_id = l.trace_id AND f.tenant_id = l.tenant_id)
        GROUP BY l.trace_id, l.tenant_id
        ORDER BY l.trace_id, l.tenant_id
        ON CONFLICT DO NOTHING
        RETURNING trace_id, tenant_id
    )
    SELECT array_agg(trace_id) INTO v_new FROM entered WHERE tenant_id = 0;
    RETURN coalesce(cardinality(v_new), 0);
END
$$;
