CREATE OR REPLACE FUNCTION otel.alerts()
RETURNS TABLE (
    rule text, subject text, severity text, value double precision, threshold double precision, firing boolean,
    summary text, hold interval, runbook text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 200 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT e.rule, e.subject, e.severity, e.value, e.threshold, e.firing, e.summary, a.hold,
           'https://github.com/otelgres/otelgres/blob/main/docs/runbooks/' || replace(e.rule, '_', '-') || '.md'
    FROM (
        SELECT * FROM otel.alert_error_rate()
        UNION ALL
        SELECT * FROM otel.alert_flow_error_rate()
        UNION ALL
        SELECT * FROM otel.alert_flow_p95()
        UNION ALL
        SELECT * FROM otel.alert_missing_heartbeat()
        UNION ALL
        SELECT * FROM otel.alert_incomplete_flows()
        UNION ALL
        SELECT * FROM otel.alert_stalled_work()
        UNION ALL
        SELECT * FROM otel.alert_losses()
        UNION ALL
        SELECT * FROM otel.alert_spool_age()
        UNION ALL
        SELECT * FROM otel.alert_receiver_silent()
        UNION ALL
        SELECT * FROM otel.alert_partitions_ahead()
        UNION ALL
        SELECT * FROM otel.alert_disk_budget()
    ) e
    CROSS JOIN LATERAL otel.alert_rule(e.rule, e.subject) a
    ORDER BY e.firing DESC, e.severity, e.rule, e.subject;
END
$$;
COMMENT ON FUNCTION otel.alerts() IS
    'The current state of all alert rules for all subjects: value, threshold (partitions_ahead fires below it, the '
    'others above), whether the rule fires, how long it must fire before a notification is sent (hold), and the '
    'runbook.';
