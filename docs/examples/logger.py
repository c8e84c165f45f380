"""An application with component loggers: `python docs/examples/logger.py`, with PGHOST … set to a database.

Prints the state of its logging and, from SQL, the stored records.
"""

from pathlib import Path

import psycopg

from otel_setup.logger import get_logger, initialize_logger, logging_status, shutdown_logging


def main() -> None:
    """Logs records of several components, one with an exception."""
    if not initialize_logger(Path(__file__).with_name("logger.yml")):
        print("Failed to initialize logging system")
        return
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
    with psycopg.connect("") as connection:
        connection.execute("SET search_path = compat")
        query = "SELECT level, logger_name, message, extra_data, exception FROM myopenaiapi_logs ORDER BY timestamp"
        for level, logger, message, extra, exception in connection.execute(query):
            print(level, logger, message, extra or "", (exception or "").strip().rpartition("\n")[2])
        row = connection.execute("SELECT sent, flushes, errors FROM logging_status").fetchone()
        print("by SQL:", dict(zip(("sent", "flushes", "errors"), row or (), strict=False)))


if __name__ == "__main__":
    main()
