"""OTLP bytes to rows, without a connection: pure transforms from an export request to what COPY BINARY takes."""
