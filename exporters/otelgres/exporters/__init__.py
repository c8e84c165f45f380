"""Exporters: the destinations a batch of telemetry can be sent or written to."""
