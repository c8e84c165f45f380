CREATE OR REPLACE VIEW otel.alert_rules AS
SELECT r.rule, r.subject, r.threshold, r."window", r.minimum, r.hold, r.severity, r.enabled FROM _otel.alert_rules r;

COMMENT ON VIEW otel.alert_rules IS
    'The settings of the alert rules, changed by `otelgres alerts --set`; the state of the rules: otel.alerts().';
COMMENT ON COLUMN otel.alert_rules.rule IS 'Name of the rule.';
COMMENT ON COLUMN otel.alert_rules.subject IS 'The subject that the row is for; empty: all that have no row of their own.';
COMMENT ON COLUMN otel.alert_rules.threshold IS 'The value from which the rule fires; partitions_ahead: below which.';
COMMENT ON COLUMN otel.alert_rules."window" IS 'The period that the rule evaluates.';
COMMENT ON COLUMN otel.alert_rules.minimum IS 'Minimum number of items in the window, for ratios and quantiles.';
COMMENT ON COLUMN otel.alert_rules.hold IS 'How long the rule must fire before a notification is sent.';
COMMENT ON COLUMN otel.alert_rules.severity IS 'warning or critical.';
COMMENT ON COLUMN otel.alert_rules.enabled IS 'Whether the rule is evaluated.';
