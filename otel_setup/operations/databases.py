"""Database calls recorded without a line of code: OpenTelemetry's own instrumentations, switched on if they are there.

Their spans are what compat.database_operations shows beside the documents. Refuses to wrap a driver by hand.
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
    """Instruments the drivers named (all that are installed, without names); which it has.

    Call it after ``configure_telemetry``, before connections are made. An instrumentation is a package of its own:
    ``opentelemetry-instrumentation-psycopg``, ``-sqlite3``, ``-sqlalchemy``.
    """
    done = []
    for name in names or tuple(_INSTRUMENTORS):
        module, kind = _INSTRUMENTORS[name]
        try:
            getattr(importlib.import_module(module), kind)().instrument()
        except ImportError:
            if names:
                _log.warning("%s is not instrumented: pip install %s", name, module.replace(".", "-"))
        else:
            done.append(name)
    return done
