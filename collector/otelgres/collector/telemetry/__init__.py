"""ROOM telemetry."""
