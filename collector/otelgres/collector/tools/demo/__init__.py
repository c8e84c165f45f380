"""What ``otelgres demo`` does: a receiver if none runs, a sample system in front of it, and what SQL says afterwards.

The sample system lives in ``otel_setup.demo`` and is started by name: nothing of it is imported here.
"""
