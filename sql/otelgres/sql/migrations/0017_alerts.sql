-- Alert rules. A row without a subject applies to all subjects of its rule; one with a subject overrides it for that
-- subject.
CREATE TABLE _otel.alert_rules (
    rule text NOT NULL,
    subject text NOT NULL DEFAULT '',
    threshold double precision NOT NULL,
    "window" interval NOT NULL,          -- the period that the rule evaluates
    minimum bigint NOT NULL DEFAULT 0,   -- minimum number of items in the window, for ratios and quantiles
    hold interval NOT NULL,              -- how long it must fire before a notification is sent
    severity text NOT NULL CHECK (severity IN ('warning', 'critical')),
    enabled boolean NOT NULL DEFAULT true,
    PRIMARY KEY (rule, subject)
);
INSERT INTO _otel.alert_rules (rule, threshold, "window", minimum, hold, severity) VALUES
    ('error_rate', 0.05, '5 minutes', 20, '2 minutes', 'critical'),
    ('flow_error_rate', 0.05, '15 minutes', 10, '2 minutes', 'critical'),
    ('flow_p95', 10000, '15 minutes', 10, '5 minutes', 'warning'),
    ('missing_heartbeat', 0, '1 day', 0, '0', 'critical'),
    ('incomplete_flows', 0, '1 hour', 0, '5 minutes', 'warning'),
    ('stalled_work', 600, '1 day', 0, '0', 'warning'),
    ('losses', 0, '15 minutes', 0, '0', 'critical'),
    ('spool_age', 300, '5 minutes', 0, '0', 'critical'),
    ('receiver_silent', 60, '1 day', 0, '0', 'critical'),
    ('partitions_ahead', 1, '1 day', 0, '0', 'critical'),
    ('disk_budget', 107374182400, '1 day', 0, '0', 'warning');
