"""OTLP bytes to rows: pure transforms from an export request to COPY BINARY. Has no connection."""
