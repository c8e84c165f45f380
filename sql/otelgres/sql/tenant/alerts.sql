-- The rules that follow from a tenant's own telemetry, with the query of their function in otel over the tenant's views; the
-- others are about receivers and the database.
DO $$
DECLARE
    v_queries text;
    -- The query of otel.alert_rule in its place: a view reads with the rights of its owner, a function with the tenant's.
    v_call CONSTANT text := '\motel\.alert_rule\(([^,()]+), ([^()]+)\)';
    v_rule CONSTANT text := '(SELECT r.threshold, r."window", r.minimum, r.hold, r.severity FROM ('
        'SELECT q.* FROM _otel.alert_rules q WHERE q.rule = \1 AND q.subject IN (\2, '''') ORDER BY q.subject DESC LIMIT 1'
        ') r WHERE r.enabled)';
BEGIN
    SELECT string_agg(
        '(' || regexp_replace(regexp_replace(
            substring(p.prosrc FROM 'RETURN QUERY\s+(.*);\s+END\s*$'),
            '\motel\.(service_stats|span_stats|heartbeats|incomplete_flows|in_flight|losses)\M', 'otel_tenant.\1', 'g'),
            v_call, v_rule, 'g') || ')',
        ' UNION ALL ' ORDER BY p.proname)
    INTO STRICT v_queries
    FROM pg_proc p
    WHERE p.pronamespace = 'otel'::regnamespace AND p.proname IN (
        'alert_error_rate', 'alert_flow_error_rate', 'alert_flow_p95', 'alert_missing_heartbeat', 'alert_incomplete_flows',
        'alert_stalled_work', 'alert_losses');
    EXECUTE 'CREATE OR REPLACE VIEW otel_tenant.alerts WITH (security_barrier) AS '
        'SELECT e.rule, e.subject, e.severity, e.value, e.threshold, e.firing, e.summary, a.hold '
        'FROM (' || v_queries || ') AS e (rule, subject, severity, value, threshold, firing, summary) '
        'CROSS JOIN LATERAL ' || regexp_replace('otel.alert_rule(e.rule, e.subject)', v_call, v_rule) || ' a';
END
$$;
COMMENT ON VIEW otel_tenant.alerts IS
    'The current state of the alert rules that follow from the tenant''s own telemetry, as in otel.alerts().';
