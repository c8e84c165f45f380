"""A decorator for calls that must never fail the work they tell of. Refuses to know what they do."""

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec

_log = logging.getLogger("otel_setup")
_P = ParamSpec("_P")


def never_raises(call: Callable[_P, None]) -> Callable[_P, None]:
    """What ``call`` raises is a line of the debug log."""

    @functools.wraps(call)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            call(*args, **kwargs)
        except Exception:  # noqa: BLE001 (telemetry must not break the application)
            _log.debug("an operation was not recorded", exc_info=True)

    return wrapper
