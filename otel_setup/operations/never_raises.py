"""A decorator for telemetry calls that must not break the application."""

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec

_log = logging.getLogger("otel_setup")
_P = ParamSpec("_P")


def never_raises(call: Callable[_P, None]) -> Callable[_P, None]:
    """Logs an exception of ``call`` at DEBUG instead of raising it."""

    @functools.wraps(call)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            call(*args, **kwargs)
        except Exception:  # noqa: BLE001 (telemetry must not break the application)
            _log.debug("an operation was not recorded", exc_info=True)

    return wrapper
