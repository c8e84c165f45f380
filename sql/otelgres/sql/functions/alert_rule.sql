-- The rule of a subject, else the default rule; no row if it is disabled.
CREATE OR REPLACE FUNCTION otel.alert_rule(p_rule text, p_subject text)
RETURNS TABLE (threshold double precision, "window" interval, minimum bigint, hold interval, severity text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT s.threshold, s."window", s.minimum, s.hold, s.severity
    FROM (
        SELECT r.threshold, r."window", r.minimum, r.hold, r.severity, r.enabled FROM otel.alert_rules r
        WHERE r.rule = p_rule AND r.subject IN (p_subject, '')
        ORDER BY r.subject DESC LIMIT 1
    ) s
    WHERE s.enabled;
END
$$;
COMMENT ON FUNCTION otel.alert_rule(text, text) IS
    'The alert rule p_rule for p_subject: the row of the subject if there is one, else the default row. No row if '
    'disabled.';
