"""The PostgreSQL exporter: OTLP bytes to rows (``codec``), rows to committed transactions (``writer``)."""
