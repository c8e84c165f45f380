"""A sample application: a web shop of three processes (shop, stock and shipping), started by ``otelgres demo``.

Start reading at ``shop``. Each process calls ``configure_telemetry()`` and is configured by ``OTEL_*`` variables.
Needs the extra ``demo`` (flask, requests).
"""
