CREATE OR REPLACE FUNCTION otel.alert_losses()
RETURNS TABLE (
    rule text, subject text, severity text, value double precision, threshold double precision, firing boolean,
    summary text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 'losses', s.reason, a.severity, s.count::double precision, a.threshold, s.count > a.threshold,
           format('%s %s %s: %s', s.count, s.signal, s.effect, s.reason)
    FROM (
        SELECT l.reason, string_agg(DISTINCT l.effect, '/') AS effect, string_agg(DISTINCT l.signal, '/') AS signal,
               sum(l.count) AS count
        FROM otel.losses l
        WHERE l.at >= now() - (SELECT r."window" FROM otel.alert_rule('losses', '') r) AND l.effect <> 'repaired'
        GROUP BY l.reason
    ) s
    CROSS JOIN LATERAL otel.alert_rule('losses', s.reason) a;
END
$$;
COMMENT ON FUNCTION otel.alert_losses() IS
    'Telemetry that was refused or dropped, by reason: value is the count. Repairs are not included.';
