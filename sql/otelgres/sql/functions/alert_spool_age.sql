CREATE OR REPLACE FUNCTION otel.alert_spool_age()
RETURNS TABLE (
    rule text, subject text, severity text, value double precision, threshold double precision, firing boolean,
    summary text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 'spool_age', s.host, a.severity, s.age, a.threshold, s.age > a.threshold,
           format('the oldest batch in the spool of %s has waited for %s', s.host, make_interval(secs => floor(s.age)))
    FROM (
        SELECT r.host, max(r.value) AS age FROM otel.receivers r
        WHERE r.name = 'otelgres_spool_age_seconds' AND r.alive
        GROUP BY r.host
    ) s
    CROSS JOIN LATERAL otel.alert_rule('spool_age', s.host) a;
END
$$;
COMMENT ON FUNCTION otel.alert_spool_age() IS
    'Receivers whose spool is not replayed: value is the age of the oldest batch in seconds.';
