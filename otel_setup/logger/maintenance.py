"""What a logger asks of its database beside storing: the view, how long logs are kept, and to drop older ones daily.

A daemon thread with a connection of its own, only while it has something to do. What the role may not do is left to
whoever may, with a sentence. Refuses to know how records are stored.
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
    """For one database and table prefix. ``stores``: this process stores there by itself, and tends the schema."""

    def __init__(self, database: Database, prefix: str, keep_days: int, *, stores: bool) -> None:
        self._database = database
        self._prefix = prefix
        self._keep_days = keep_days
        self._stores = stores
        self._told: set[str] = set()
        self.forked()

    def forked(self) -> None:
        """In the child, where no thread runs."""
        self._stop = threading.Event()
        self._tried = threading.Event()

    def start(self) -> None:
        """Starts the thread. Raises RuntimeError if none can be had."""
        threading.Thread(target=self._run, args=(self._stop,), name="otelgres-upkeep", daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Until the schema and the view are there or cannot be had now, at most ``seconds``."""
        self._tried.wait(seconds)

    def stop(self) -> None:
        """Ends the thread when it has nothing to do; a second call does nothing."""
        self._stop.set()

    def _run(self, stop: threading.Event) -> None:
        wait, retry = 0.0, _FIRST_RETRY
        while not stop.wait(wait):
            done, problem = self._quietly()
            if problem and problem not in self._told:
                self._told.add(problem)
                _logger.warning("%s", problem)
            self._tried.set()
            if done and not self._stores:
                return
            wait = _DAY if done else retry
            retry = _FIRST_RETRY if done else min(retry * 2, _LONGEST_RETRY)

    def _quietly(self) -> tuple[bool, str]:
        """Whether it is done until tomorrow, and what is to be told."""
        # These statements are no telemetry of the application's.
        token = attach(set_value(SUPPRESS_INSTRUMENTATION, True))
        try:
            return True, self._once()
        except psycopg.Error as error:
            what = "records take the other ways" if self._stores else f"view compat.{self._prefix}_logs is not made"
            return False, f"{self._database.endpoint}: {advice(error)} ({_first_line(error)}); {what} until then"
        except Exception as error:  # noqa: BLE001 — upkeep must not end the thread, nor reach the application
            return False, f"{self._database.endpoint} could not be tended: {type(error).__name__}"
        finally:
            detach(token)

    def _once(self) -> str:
        dsn = self._database.dsn
        problem = prepare(dsn) if self._stores else ""
        with psycopg.connect(dsn, autocommit=True, application_name="otelgres upkeep") as connection:
            problem = problem or self._make_view(connection)
            if self._stores:
                if not problem:
                    self._keep(connection)
                connection.execute("SELECT _otel.drop_expired()")
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
            return f"view compat.{view} is not there, and this role may not make it: let the owner run {call}"
        except (no.DuplicateTable, no.InvalidParameterValue) as error:
            return f"view compat.{view} cannot be made: {_first_line(error)}"
        return ""

    def _keep(self, connection: psycopg.Connection) -> None:
        # Where the role may not, or somebody else made the view, the owner has said how long.
        with suppress(psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject):
            connection.execute("SELECT compat.keep_logs(%s, %s)", [self._prefix, self._keep_days])


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
