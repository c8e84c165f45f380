-- For the first two arguments see tail_logs.sql.
CREATE OR REPLACE FUNCTION otel.tail_spans(
    p_seen pg_snapshot, p_since timestamptz, p_service text DEFAULT NULL, p_errors_only boolean DEFAULT false,
    p_contains text DEFAULT NULL, p_flow_id uuid DEFAULT NULL, p_roots_only boolean DEFAULT false)
RETURNS TABLE (
    row_id text, "time" timestamptz, received_at timestamptz, service_name text, name text, kind text,
    duration_ms double precision, status text, status_message text, flow_id uuid, span_id text, attributes jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_newest bigint := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
BEGIN
    RETURN QUERY
    SELECT s.tableoid::text || s.ctid::text, s.start_time, s.received_at, r.service_name, s.name,
           _otel.span_kind(s.kind), (s.end_time_unix_nano - s.start_time_unix_nano)::double precision / 1e6,
           _otel.span_status(s.status_code), s.status_message, s.trace_id, encode(s.span_id, 'hex'),
           coalesce(s.attributes, '{}')
    FROM _otel.spans s
    LEFT JOIN _otel.resources r ON r.id = s.resource_id
    WHERE s.received_at >= p_since
      AND _otel.arrived_after(s.xmin, v_newest, p_seen)
      AND (p_service IS NULL OR r.service_name = p_service)
      AND (NOT p_errors_only OR s.status_code = 2)
      AND (p_contains IS NULL OR strpos(lower(s.name), lower(p_contains)) > 0
           OR strpos(lower(s.status_message), lower(p_contains)) > 0)
      AND (p_flow_id IS NULL OR s.trace_id = p_flow_id)
      AND (NOT p_roots_only OR s.parent_span_id IS NULL)
    ORDER BY s.received_at, s.end_time_unix_nano;
END
$$;
COMMENT ON FUNCTION otel.tail_spans(pg_snapshot, timestamptz, text, boolean, text, uuid, boolean) IS
    'Spans that were not visible in an earlier snapshot (pg_current_snapshot()), of those received since a time; '
    'optionally of one service, failed ones, with a text in name or status message (case-insensitive), of one flow, '
    'or only roots: flows that have ended.';
