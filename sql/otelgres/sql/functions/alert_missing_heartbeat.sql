CREATE OR REPLACE FUNCTION otel.alert_missing_heartbeat()
RETURNS TABLE (
    rule text, subject text, severity text, value double precision, threshold double precision, firing boolean,
    summary text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 'missing_heartbeat', h.source_system, a.severity, extract(epoch FROM h.age)::double precision,
           extract(epoch FROM h.interval)::double precision, h.missed,
           format('the last heartbeat of %s was %s ago', h.source_system, date_trunc('second', h.age))
    FROM otel.heartbeats h
    CROSS JOIN LATERAL otel.alert_rule('missing_heartbeat', h.source_system) a
    WHERE h.last_time > now() - a."window";
END
$$;
COMMENT ON FUNCTION otel.alert_missing_heartbeat() IS
    'Systems whose heartbeats are missing: value is the age of the last one in seconds, threshold the interval.';
