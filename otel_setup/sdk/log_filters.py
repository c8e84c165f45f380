"""Filters that keep the SDK's loggers from flooding the application's console. ``export.outage`` reports failures."""

import logging

from otel_setup.sdk_adapter import ENCODER_LOGGER, PROCESSOR_LOGGER

_ATTRIBUTE_LOGGER = "opentelemetry.attributes"


class _Once(logging.Filter):
    """Passes one warning, then raises the logger's level: a full queue would cause one on every call."""

    def filter(self, record: logging.LogRecord) -> bool:
        logging.getLogger(record.name).setLevel(logging.CRITICAL)
        return True


class _OnceEach(logging.Filter):
    """Passes each message once, with any arguments: one record can cause hundreds."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg in self._seen:
            return False
        self._seen.add(record.msg)
        return True


def limit_sdk_logging() -> None:
    """Installs the filters. Call it once per process."""
    processor = logging.getLogger(PROCESSOR_LOGGER)
    processor.setLevel(logging.WARNING)
    processor.addFilter(_Once())
    # The encoder complains of values that it cannot encode; ``scrub`` has replaced those.
    for name in (_ATTRIBUTE_LOGGER, ENCODER_LOGGER):
        logging.getLogger(name).addFilter(_OnceEach())
