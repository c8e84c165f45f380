"""The PostgreSQL sink: OTLP bytes to rows (``codec``), rows to committed transactions (``writer``)."""
