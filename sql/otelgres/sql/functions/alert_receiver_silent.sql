CREATE OR REPLACE FUNCTION otel.alert_receiver_silent()
RETURNS TABLE (
    rule text, subject text, severity text, value double precision, threshold double precision, firing boolean,
    summary text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 'receiver_silent', s.host, a.severity, s.age, a.threshold, s.age > a.threshold,
           format('no receiver on %s has reported for %s', s.host, make_interval(secs => floor(s.age)))
    FROM (
        SELECT r.host, extract(epoch FROM now() - max(r.last_seen))::double precision AS age
        FROM otel.receivers r
        GROUP BY r.host
    ) s
    CROSS JOIN LATERAL otel.alert_rule('receiver_silent', s.host) a
    WHERE s.age < extract(epoch FROM a."window");
END
$$;
COMMENT ON FUNCTION otel.alert_receiver_silent() IS
    'Hosts whose receivers have stopped reporting: value is the number of seconds since the last report. Receivers '
    'that have not reported within the window are ignored.';
