"""Where the receiver's own log lines go."""

import logging


def log_to_stderr() -> None:
    """Sends warnings and errors to stderr; stdout is kept for what the commands print."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
