CREATE OR REPLACE FUNCTION otel.alert_flow_error_rate()
RETURNS TABLE (
    rule text, subject text, severity text, value double precision, threshold double precision, firing boolean,
    summary text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 'flow_error_rate', s.name, a.severity, s.failed, a.threshold, s.failed > a.threshold,
           format('%s %% of the %s flows %s failed', round((100 * s.failed)::numeric, 1), s.count, s.name)
    FROM (
        SELECT s.name, sum(s.count) AS count, sum(s.error_count)::double precision / sum(s.count) AS failed
        FROM otel.span_stats s
        WHERE s.minute >= now() - (SELECT r."window" FROM otel.alert_rule('flow_error_rate', '') r) AND s.type = 'flow'
        GROUP BY s.name
    ) s
    CROSS JOIN LATERAL otel.alert_rule('flow_error_rate', s.name) a
    WHERE s.count >= a.minimum;
END
$$;
COMMENT ON FUNCTION otel.alert_flow_error_rate() IS
    'Flows with too many failures, by name: value is the fraction that failed.';
