"""Logging configured by one call and a YAML file: console, rotating file and PostgreSQL, with levels per component.

Based on stdlib logging and ``configure_telemetry``. Records go to a collector or directly to the database; view
``compat.<table_prefix>_logs`` shows them.
"""

from otel_setup.logger.setup import get_logger, initialize_logger, logging_status, shutdown_logging

__all__ = ["get_logger", "initialize_logger", "logging_status", "shutdown_logging"]
