"""Alert notifications without Grafana. The rules are in SQL (``otel.alerts()``)."""
