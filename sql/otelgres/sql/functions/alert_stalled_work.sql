CREATE OR REPLACE FUNCTION otel.alert_stalled_work()
RETURNS TABLE (
    rule text, subject text, severity text, value double precision, threshold double precision, firing boolean,
    summary text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 'stalled_work', s.name, a.severity, s.age, a.threshold, s.age > a.threshold,
           format('%s %s of %s started %s ago and has not ended%s',
                  s.type, s.name, s.service_name, make_interval(secs => floor(s.age)),
                  CASE s.state WHEN 'abandoned' THEN ': abandoned, ' || s.reason WHEN 'silent' THEN ': ' || s.reason ELSE '' END)
    FROM (
        SELECT DISTINCT ON (w.name) w.name, w.type, w.service_name, w.state, w.reason,
               extract(epoch FROM now() - w.start_time)::double precision AS age
        FROM otel.in_flight w
        WHERE w.start_time >= now() - (SELECT r."window" FROM otel.alert_rule('stalled_work', '') r)
        ORDER BY w.name, w.start_time
    ) s
    CROSS JOIN LATERAL otel.alert_rule('stalled_work', s.name) a;
END
$$;
COMMENT ON FUNCTION otel.alert_stalled_work() IS
    'Flows and phases that have started and not ended, by name: value is the age of the oldest in seconds. The '
    'summary includes the state of abandoned and silent ones.';
