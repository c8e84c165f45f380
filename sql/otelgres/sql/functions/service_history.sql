-- plpgsql: each branch is planned for its own table. Above a day, hours are detailed enough.
CREATE OR REPLACE FUNCTION otel.service_history(p_from timestamptz, p_to timestamptz)
RETURNS TABLE (
    "time" timestamptz, service_name text, count bigint, error_count bigint, duration_sum_ms double precision,
    max_ms double precision, latency_buckets smallint[], latency_counts bigint[])
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 5000 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF p_to - p_from > interval '25 hours' THEN
        RETURN QUERY
        SELECT h.hour, h.service_name, h.count, h.error_count, h.duration_sum_ms, h.max_ms, h.latency_buckets,
               h.latency_counts
        FROM otel.hour_stats h
        WHERE h.hour >= date_trunc('hour', p_from) AND h.hour <= p_to AND h.kind IN ('SERVER', 'CONSUMER');
    ELSE
        RETURN QUERY
        SELECT s.minute, s.service_name, s.count, s.error_count, s.duration_sum_ms, s.max_ms, s.latency_buckets,
               s.latency_counts
        FROM otel.service_stats s
        WHERE s.minute >= date_trunc('minute', p_from) AND s.minute <= p_to AND s.kind IN ('SERVER', 'CONSUMER');
    END IF;
END
$$;
COMMENT ON FUNCTION otel.service_history(timestamptz, timestamptz) IS
    'Rate, errors and latency of the requests to services (spans of kind SERVER and CONSUMER) between two times: by '
    'minute up to a day, else by hour, then with several rows per hour. time is the start of the minute or hour.';
