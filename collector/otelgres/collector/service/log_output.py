"""Logging of the receiver process."""

import logging


def log_to_stderr() -> None:
    """Logs warnings and errors to stderr; stdout is for the output of commands."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
