"""ROOM otlp."""
