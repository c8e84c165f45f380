"""Keeps the SDK's own loggers from flooding the application's console.

Refuses to know exporters: ``outage`` says once, in our words, that telemetry does not get through.
"""

import logging

from otel_setup.sdk_adapter import ENCODER_LOGGER, PROCESSOR_LOGGER

_ATTRIBUTE_LOGGER = "opentelemetry.attributes"


class _Once(logging.Filter):
    """Lets one warning through, then raises the logger's level: a full queue is met on every call from then on."""

    def filter(self, record: logging.LogRecord) -> bool:
        logging.getLogger(record.name).setLevel(logging.CRITICAL)
        return True


class _OnceEach(logging.Filter):
    """Lets each message through once, whatever its arguments: one record can cause hundreds."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg in self._seen:
            return False
        self._seen.add(record.msg)
        return True


def limit_sdk_logging() -> None:
    """Installs the filters. Once per process; the caller sees to that."""
    processor = logging.getLogger(PROCESSOR_LOGGER)
    processor.setLevel(logging.WARNING)
    processor.addFilter(_Once())
    # The encoder complains of values that it cannot encode; ``scrub`` has replaced those.
    for name in (_ATTRIBUTE_LOGGER, ENCODER_LOGGER):
        logging.getLogger(name).addFilter(_OnceEach())
