"""The PostgreSQL exporter: OTLP bytes to rows (``codec``) and rows to committed transactions (``writer``)."""
