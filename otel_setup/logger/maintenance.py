"""Maintains the logger's database: creates the view, sets the retention, and drops expired logs daily.

Runs on a daemon thread with its own connection, which is open only while needed. If the role lacks a privilege, a
warning has the statement for the owner to run.
"""

import logging
import threading
from contextlib import suppress
from typing import Final

import psycopg
from opentelemetry.context import attach, detach, set_value

from otel_setup.sdk_adapter import SUPPRESS_INSTRUMENTATION
from otelgres.exporters.postgres.direct import prepare
from otelgres.exporters.postgres.errors import advice
from otelgres.exporters.postgres.partitions import drop_expired
from otelgres.exporters.target import Database

_logger = logging.getLogger("otel_setup")
_DAY: Final = 86_400.0
_FIRST_RETRY: Final = 5.0
_LONGEST_RETRY: Final = 300.0
_HAS_VIEW: Final = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'compat' AND c.relname = %s)
"""


class LoggerMaintenance:
    """For one database and table prefix. ``stores``: this process writes there directly and maintains the schema."""

    def __init__(self, database: Database, prefix: str, keep_days: int, *, stores: bool) -> None:
        self._database = database
        self._prefix = prefix
        self._keep_days = keep_days
        self._stores = stores
        self._logged: set[str] = set()
        self.forked()

    def forked(self) -> None:
        """Resets the state in a forked child, where no thread runs."""
        self._stop = threading.Event()
        self._tried = threading.Event()

    def start(self) -> None:
        """Starts the thread. Raises RuntimeError if that fails."""
        threading.Thread(target=self._run, args=(self._stop,), name="otelgres-maintenance", daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Waits for the first attempt to create the schema and the view, at most ``seconds``."""
        self._tried.wait(seconds)

    def stop(self) -> None:
        """Stops the thread after the work in progress; a second call does nothing."""
        self._stop.set()

    def _run(self, stop: threading.Event) -> None:
        wait, retry = 0.0, _FIRST_RETRY
        while not stop.wait(wait):
            done, problem = self._attempt()
            if problem and problem not in self._logged:
                self._logged.add(problem)
                _logger.warning("%s", problem)
            self._tried.set()
            if done and not self._stores:
                return
            wait = _DAY if done else retry
            retry = _FIRST_RETRY if done else min(retry * 2, _LONGEST_RETRY)

    def _attempt(self) -> tuple[bool, str]:
        """Whether the work is done until the next day, and a warning to log ("" for none)."""
        # These statements are not telemetry of the application.
        token = attach(set_value(SUPPRESS_INSTRUMENTATION, True))
        try:
            return True, self._once()
        except psycopg.Error as error:
            what = "records use the fallback" if self._stores else f"view compat.{self._prefix}_logs is not created"
            return False, f"{self._database.endpoint}: {advice(error)} ({_first_line(error)}); {what} until then"
        except Exception as error:  # noqa: BLE001 — an error must neither end the thread nor reach the application
            return False, f"maintenance of {self._database.endpoint} failed: {type(error).__name__}"
        finally:
            detach(token)

    def _once(self) -> str:
        dsn = self._database.dsn
        problem = prepare(dsn) if self._stores else ""
        with psycopg.connect(dsn, autocommit=True, application_name="otelgres maintenance") as connection:
            problem = problem or self._make_view(connection)
            if self._stores:
                if not problem:
                    self._keep(connection)
                drop_expired(connection)
        return problem

    def _make_view(self, connection: psycopg.Connection) -> str:
        view = f"{self._prefix}_logs"
        if connection.execute(_HAS_VIEW, [view]).fetchone() == (True,):
            return ""
        no = psycopg.errors
        try:
            connection.execute("SELECT compat.make_logs_view(%s)", [self._prefix])
        except (no.InsufficientPrivilege, no.UndefinedFunction, no.InvalidSchemaName):
            call = f"SELECT compat.make_logs_view('{self._prefix}')"
            return f"view compat.{view} is missing and this role may not create it: run {call} as the owner"
        except (no.DuplicateTable, no.InvalidParameterValue) as error:
            return f"view compat.{view} cannot be created: {_first_line(error)}"
        return ""

    def _keep(self, connection: psycopg.Connection) -> None:
        # If the role may not, or another role created the view, the retention is the owner's decision.
        with suppress(psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject):
            connection.execute("SELECT compat.keep_logs(%s, %s)", [self._prefix, self._keep_days])


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
