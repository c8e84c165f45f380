CREATE OR REPLACE FUNCTION otel.alert_error_rate()
RETURNS TABLE (
    rule text, subject text, severity text, value double precision, threshold double precision, firing boolean,
    summary text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 'error_rate', s.service_name, a.severity, s.failed, a.threshold, s.failed > a.threshold,
           format('%s %% of the %s requests to %s failed', round((100 * s.failed)::numeric, 1), s.count, s.service_name)
    FROM (
        -- The window is that of the default rule; the threshold that of the subject.
        SELECT s.service_name, sum(s.count) AS count, sum(s.error_count)::double precision / sum(s.count) AS failed
        FROM otel.service_stats s
        WHERE s.minute >= now() - (SELECT r."window" FROM otel.alert_rule('error_rate', '') r)
          AND s.kind IN ('SERVER', 'CONSUMER')
        GROUP BY s.service_name
    ) s
    CROSS JOIN LATERAL otel.alert_rule('error_rate', s.service_name) a
    WHERE s.count >= a.minimum;
END
$$;
COMMENT ON FUNCTION otel.alert_error_rate() IS
    'Services with too many failed requests (spans of kind SERVER and CONSUMER): value is the fraction that failed.';
