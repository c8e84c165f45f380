"""An application with component loggers: `python docs/examples/logger.py`, with OTELGRES_DSN set to a database.

Without OTELGRES_DSN the database is that of logger.yml: of PGHOST, PGPORT, PGUSER and PGDATABASE. Prints the state of
its logging and, from SQL, the stored records.
"""

import os
import sys
from pathlib import Path

import psycopg
import yaml

from otel_setup.logger import get_logger, initialize_logger, logging_status, shutdown_logging


def main() -> None:
    """Logs records of several components, one with an exception."""
    configuration = yaml.safe_load(Path(__file__).with_name("logger.yml").read_text(encoding="utf-8"))
    if dsn := os.environ.get("OTELGRES_DSN"):
        configuration["database"]["dsn"] = dsn
    if not initialize_logger(configuration):
        sys.exit("Failed to initialize logging system")
    get_logger("authentication").debug("Authentication debug info")
    get_logger("models").info("below this component's level: nowhere")
    get_logger("api").info("User login", extra={"user_id": 123, "ip_address": "192.168.1.100", "session_id": "abc123"})
    try:
        {}["missing"]
    except KeyError:
        get_logger("error_handler").error("Operation failed", exc_info=True)
    in_time = shutdown_logging()
    status = logging_status()
    print(f"all handed over: {in_time}, sent {status['sent']}, dropped {status['dropped']}")
    with psycopg.connect(configuration["database"]["dsn"]) as connection:
        connection.execute("SET search_path = compat")
        query = "SELECT level, logger_name, message, extra_data, exception FROM myopenaiapi_logs ORDER BY timestamp"
        for level, logger, message, extra, exception in connection.execute(query):
            print(level, logger, message, extra or "", (exception or "").strip().rpartition("\n")[2])
        row = connection.execute("SELECT sent, flushes, errors FROM logging_status").fetchone()
        print("by SQL:", dict(zip(("sent", "flushes", "errors"), row or (), strict=False)))


if __name__ == "__main__":
    main()
