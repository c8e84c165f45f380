CREATE OR REPLACE FUNCTION otel.alert_flow_p95()
RETURNS TABLE (
    rule text, subject text, severity text, value double precision, threshold double precision, firing boolean,
    summary text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 'flow_p95', s.name, a.severity, s.p95, a.threshold, s.p95 > a.threshold,
           format('the 95th percentile of the %s flows %s is %s ms', s.count, s.name, round(s.p95::numeric))
    FROM (
        SELECT s.name, sum(s.count) AS count,
               (otel.latency_quantiles(
                   otel.array_concat(s.latency_buckets), otel.array_concat(s.latency_counts), '{0.95}'))[1] AS p95
        FROM otel.span_stats s
        WHERE s.minute >= now() - (SELECT r."window" FROM otel.alert_rule('flow_p95', '') r) AND s.type = 'flow'
        GROUP BY s.name
    ) s
    CROSS JOIN LATERAL otel.alert_rule('flow_p95', s.name) a
    WHERE s.count >= a.minimum;
END
$$;
COMMENT ON FUNCTION otel.alert_flow_p95() IS
    'Slow flows, by name: value is the 95th percentile of the duration in milliseconds.';
