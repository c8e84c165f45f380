"""OpenTelemetry's attributes of an exception, for spans and log records."""

import traceback
from typing import Any

from otel_setup.api.values import text


def exception_attributes(error: BaseException) -> dict[str, Any]:
    """``exception.type`` (qualified), ``exception.message`` and ``exception.stacktrace`` of ``error``. Never raises."""
    kind = type(error)
    try:
        stacktrace = text("".join(traceback.format_exception(error)))
    except Exception as failure:  # noqa: BLE001 — an exception class may break its own formatting
        stacktrace = f"<traceback: formatting raised {type(failure).__name__}>"
    return {
        "exception.type": kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}",
        "exception.message": text(error),
        "exception.stacktrace": stacktrace,
    }
