"""A logging system by one call and a YAML file: console, rotating file and PostgreSQL, with levels for components.

Built on stdlib logging and on what ``configure_telemetry`` sets up; its records are in ``compat.<table_prefix>_logs``.
Refuses to know receivers: it sends to one, or stores by itself.
"""

from otel_setup.logger.setup import get_logger, initialize_logger, logging_status, shutdown_logging

__all__ = ["get_logger", "initialize_logger", "logging_status", "shutdown_logging"]
