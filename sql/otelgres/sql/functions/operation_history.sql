-- plpgsql: each branch is planned for its own table. Above six hours, hours are detailed enough and 60 times fewer
-- rows.
CREATE OR REPLACE FUNCTION otel.operation_history(p_from timestamptz, p_to timestamptz, p_type text)
RETURNS TABLE (
    "time" timestamptz, service_name text, name text, kind text, count bigint, error_count bigint,
    duration_sum_ms double precision, max_ms double precision, latency_buckets smallint[], latency_counts bigint[])
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 5000 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF p_to - p_from > interval '6 hours' THEN
        RETURN QUERY
        SELECT h.hour, h.service_name, h.name, h.kind, h.count, h.error_count, h.duration_sum_ms, h.max_ms,
               h.latency_buckets, h.latency_counts
        FROM otel.hour_stats h
        WHERE h.hour >= date_trunc('hour', p_from) AND h.hour <= p_to AND h.type = p_type;
    ELSE
        RETURN QUERY
        SELECT s.minute, s.service_name, s.name, s.kind, s.count, s.error_count, s.duration_sum_ms, s.max_ms,
               s.latency_buckets, s.latency_counts
        FROM otel.span_stats s
        WHERE s.minute >= date_trunc('minute', p_from) AND s.minute <= p_to AND s.type = p_type;
    END IF;
END
$$;
COMMENT ON FUNCTION otel.operation_history(timestamptz, timestamptz, text) IS
    'Rate, errors and latency of flows (p_type ''flow'') or phases (''phase'') between two times: by minute up to six '
    'hours, else by hour. time is the start of the minute or hour.';
