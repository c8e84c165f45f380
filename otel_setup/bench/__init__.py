"""The application's half of the measurements: processes that use otel_setup as an application does.

Started by module name from ``otelgres bench``. Refuses to know the receiver and the database.
"""
