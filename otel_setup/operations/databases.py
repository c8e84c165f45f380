"""Enables the installed OpenTelemetry instrumentations of database drivers.

``compat.database_operations`` shows their spans together with the documents.
"""

import importlib
import logging
from typing import Final

_log = logging.getLogger("otel_setup")

_INSTRUMENTORS: Final = {
    "psycopg": ("opentelemetry.instrumentation.psycopg", "PsycopgInstrumentor"),
    "sqlite3": ("opentelemetry.instrumentation.sqlite3", "SQLite3Instrumentor"),
    "sqlalchemy": ("opentelemetry.instrumentation.sqlalchemy", "SQLAlchemyInstrumentor"),
}


def instrument_databases(*names: str) -> list[str]:
    """Instruments the named drivers (without names: all that are installed). Returns those it has instrumented.

    Call it after ``configure_telemetry`` and before connecting. Each instrumentation is a separate package:
    ``opentelemetry-instrumentation-psycopg``, ``-sqlite3``, ``-sqlalchemy``. Raises KeyError for an unknown name.
    """
    done = []
    for name in names or tuple(_INSTRUMENTORS):
        module, kind = _INSTRUMENTORS[name]
        try:
            getattr(importlib.import_module(module), kind)().instrument()
        except ImportError:
            if names:
                _log.warning("%s is not instrumented: run pip install %s", name, module.replace(".", "-"))
        else:
            done.append(name)
    return done
