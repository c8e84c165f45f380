INSERT INTO _otel.alert_rules (rule, subject, threshold, "window", minimum, hold, severity, enabled)
SELECT r.rule, %(subject)s, coalesce(%(threshold)s, r.threshold), r."window", r.minimum, r.hold, r.severity, %(enabled)s
FROM _otel.alert_rules r
WHERE r.rule = %(rule)s AND r.subject = ''
ON CONFLICT (rule, subject) DO UPDATE SET threshold = excluded.threshold, enabled = excluded.enabled
RETURNING rule, subject, threshold, enabled
