"""The application's side of ``otelgres bench``: processes that use otel_setup, started by module name."""
