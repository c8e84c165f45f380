CREATE OR REPLACE FUNCTION otel.alert_incomplete_flows()
RETURNS TABLE (
    rule text, subject text, severity text, value double precision, threshold double precision, firing boolean,
    summary text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 'incomplete_flows', s.name, a.severity, s.count::double precision, a.threshold, s.count > a.threshold,
           format('%s flows %s %s%s', s.count, s.name, coalesce('have not passed ' || s.missing, 'have not ended'),
                  coalesce(', most stopped after ' || s.after, ''))
    FROM (
        SELECT coalesce(f.name, '?') AS name, count(*) AS count, mode() WITHIN GROUP (ORDER BY f.last_checkpoint) AS after,
               mode() WITHIN GROUP (ORDER BY f.missing[1]) AS missing
        FROM otel.incomplete_flows f
        -- Recent flows may still be running.
        WHERE f.start_time >= now() - (SELECT r."window" FROM otel.alert_rule('incomplete_flows', '') r)
          AND f.start_time < now() - interval '5 minutes'
        GROUP BY 1
    ) s
    CROSS JOIN LATERAL otel.alert_rule('incomplete_flows', s.name) a;
END
$$;
COMMENT ON FUNCTION otel.alert_incomplete_flows() IS
    'Flows that started more than five minutes ago and lack an expected checkpoint or, without declared expectations, '
    'whose root span has not ended, by name: value is their number.';
