"""Limits what grpcio logs about requests: without it, any client can cause two tracebacks with each of its requests."""

import logging
import time
from typing import Final

# The compiled part of grpcio, which logs undecodable metadata (read as Latin-1) and errors of calls.
_LOGGER: Final = "grpc._cython.cygrpc"
_SECONDS: Final = 60.0
_UNDECODABLE: Final = "a gRPC request has headers that are not UTF-8. More within a minute are not logged"


class _OncePerMinute(logging.Filter):
    """Lets a record pass if none with the same kind of error has passed within a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._passed_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, BaseException):
            # The error that has ended a server; the listener logs it.
            return False
        kind = (record.exc_info and record.exc_info[0]) or None
        now = time.monotonic()
        name = kind.__name__ if kind else record.levelname
        if now - self._passed_at.get(name, float("-inf")) < _SECONDS:
            return False
        self._passed_at[name] = now
        if kind is UnicodeDecodeError:
            # grpcio's own text has the value, which may be a token.
            record.msg, record.args = _UNDECODABLE, ()
            record.exc_info = record.exc_text = None
        return True


def limit_grpc_log() -> None:
    """For the whole process, once."""
    logger = logging.getLogger(_LOGGER)
    if not any(isinstance(found, _OncePerMinute) for found in logger.filters):
        logger.addFilter(_OncePerMinute())
