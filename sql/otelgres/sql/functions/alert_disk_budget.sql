CREATE OR REPLACE FUNCTION otel.alert_disk_budget()
RETURNS TABLE (
    rule text, subject text, severity text, value double precision, threshold double precision, firing boolean,
    summary text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 'disk_budget', current_database()::text, a.severity, s.bytes, a.threshold, s.bytes > a.threshold,
           format('telemetry takes %s of %s', pg_size_pretty(s.bytes::bigint), pg_size_pretty(a.threshold::bigint))
    FROM (SELECT sum(p.bytes)::double precision AS bytes FROM otel.partitions p) s
    CROSS JOIN LATERAL otel.alert_rule('disk_budget', current_database()::text) a;
END
$$;
COMMENT ON FUNCTION otel.alert_disk_budget() IS 'Telemetry that exceeds its disk budget: value is its bytes on disk.';
