"""A sample system, written as an application would be: a web shop of three processes, shop, stock and shipping.

``otelgres demo`` starts them; ``shop`` is the one to read first. Refuses to know the collector and the database: each
process says ``configure_telemetry()`` and follows ``OTEL_*`` variables. Needs the extra ``demo`` (flask, requests).
"""
