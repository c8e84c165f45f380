"""``otelgres demo``: starts a receiver if none runs, runs a sample system against it, and queries the results.

The sample system is in ``otel_setup.demo``; its modules are started as processes and not imported.
"""
