-- Commits do not become visible in the order of any column, so the cursor is a snapshot: exactly the rows that were not
-- visible in it are new. p_since only limits the search; it must be before the start of every transaction that was
-- running when the snapshot was taken. SECURITY DEFINER: the view does not contain the transaction of a row.
CREATE OR REPLACE FUNCTION otel.tail_logs(
    p_seen pg_snapshot, p_since timestamptz, p_service text DEFAULT NULL, p_least_severity integer DEFAULT NULL,
    p_contains text DEFAULT NULL, p_flow_id uuid DEFAULT NULL)
RETURNS TABLE (
    row_id text, "time" timestamptz, received_at timestamptz, service_name text, severity_number integer,
    severity_text text, body text, flow_id uuid, span_id text, attributes jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_newest bigint := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
BEGIN
    RETURN QUERY
    SELECT l.tableoid::text || l.ctid::text, l.time, l.received_at, r.service_name, l.severity_number, l.severity_text,
           coalesce(l.body, l.body_value ->> '$string', l.body_value #>> '{}', l.event_name), l.trace_id,
           encode(l.span_id, 'hex'), coalesce(l.attributes, '{}')
    FROM _otel.logs l
    LEFT JOIN _otel.resources r ON r.id = l.resource_id
    WHERE l.received_at >= p_since
      AND (l.event_name IS NULL
           OR l.event_name NOT IN ('otelgres.span.start', 'otelgres.process.alive', 'otelgres.process.end'))
      AND _otel.arrived_after(l.xmin, v_newest, p_seen)
      AND (p_service IS NULL OR r.service_name = p_service)
      AND (p_least_severity IS NULL OR l.severity_number >= p_least_severity)
      AND (p_contains IS NULL OR strpos(lower(coalesce(l.body, l.body_value #>> '{}')), lower(p_contains)) > 0)
      AND (p_flow_id IS NULL OR l.trace_id = p_flow_id)
    ORDER BY l.received_at, l.time, l.time_unix_nano;
END
$$;
COMMENT ON FUNCTION otel.tail_logs(pg_snapshot, timestamptz, text, integer, text, uuid) IS
    'Log records that were not visible in an earlier snapshot (pg_current_snapshot()), of those received since a '
    'time; optionally of one service, from a severity number on, with a text in the body (case-insensitive), of one '
    'flow. row_id identifies a stored row. Used by otelgres tail after each NOTIFY otelgres.';
