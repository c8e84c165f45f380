SELECT rule, subject, severity, value, threshold, firing, summary, hold, runbook FROM otel.alerts()
