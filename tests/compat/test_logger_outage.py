"""The logger with a PostgreSQL that is down at the start, killed and restarted: nothing is lost or duplicated."""

import threading
from collections import Counter
from pathlib import Path
from typing import Any

from otelgres.collector.tools.chaos.processes import DatabaseProcess
from otelgres.collector.tools.chaos.run import temporary_folder
from tests.acceptance.receiver_process import rows
from tests.compat.logging_application import Application, into, printed, run
from tests.waiting import until

# Logs numbers until its stdin ends; says how far it is.
STEADILY = """
done = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
n, longest = 0, 0.0
while not done.wait(0.002):
    begin = time.monotonic()
    get_logger("w").info("%d", n)
    longest = max(longest, time.monotonic() - begin)
    n += 1
result["logged"], result["longest"] = n, longest
"""

# Lives until nothing is left in a spool.
STORED = """
import pathlib
deadline = time.monotonic() + 60
while (left := list(pathlib.Path(%r).glob("*.spool"))) and time.monotonic() < deadline:
    threading.Event().wait(0.05)
result["left"] = left
"""


def stored(database: DatabaseProcess) -> "Counter[str]":
    found = rows(database.direct_dsn, "SELECT message FROM compat.app_logs WHERE logger_name = 'w'")
    return Counter(row["message"] for row in found)


def a_view_is_there(database: DatabaseProcess) -> None:
    until(lambda: rows(database.direct_dsn, "SELECT to_regclass('compat.app_logs') AS view")[0]["view"], "a view")


def stored_at_least(database: DatabaseProcess, number: int) -> None:
    until(lambda: len(stored(database)) >= number, f"{number} records")


def all_of(result: dict[str, Any]) -> "Counter[str]":
    return Counter(str(n) for n in range(result["logged"]))


def test_postgresql_is_killed_and_started_under_it() -> None:
    with temporary_folder() as folder:
        database = DatabaseProcess(folder)
        try:
            database.start()
            config = into(database.dsn, flush_interval=0.1, queue_size=100_000)
            with Application(config, STEADILY) as application:
                a_view_is_there(database)
                for kill in range(3):
                    stored_at_least(database, 100 + len(stored(database)))
                    database.kill()
                    # The application goes on logging, into nothing, for a while.
                    threading.Event().wait(0.3 * kill)
                    database.start()
                stored_at_least(database, 100 + len(stored(database)))
                result = application.end()
            status = result["status"]
            assert stored(database) == all_of(result), status
            assert (status["sent"], status["overflowed"], status["dropped"]) == (result["logged"], 0, 0)
            assert (status["console"], status["stderr"]) == (0, 0)
            assert result["longest"] < 5
        finally:
            database.close()


def test_postgresql_away_at_the_start_and_there_later(tmp_path: Path) -> None:
    with temporary_folder() as folder:
        database = DatabaseProcess(folder)
        try:
            config = into(database.dsn, flush_interval=0.1, queue_size=100_000, spool=str(tmp_path / "spool"))
            with Application(config, STEADILY) as application:
                until(lambda: list((tmp_path / "spool").glob("*")), "something in the spool")
                database.start()
                a_view_is_there(database)
                stored_at_least(database, 1000)
                result = application.end()
            status = result["status"]
            assert result["initialized"]
            assert status["spooled"] > 0
            assert status["replayed"] > 0
            assert (status["dropped"], status["overflowed"], status["console"]) == (0, 0, 0)
            # What is left is sent by the next run.
            more, _, _ = run(config, STORED % str(tmp_path / "spool"))
            assert more["left"] == []
            assert stored(database) == all_of(result), status
        finally:
            database.close()


def test_without_a_spool_what_is_not_stored_is_printed_once_and_counted() -> None:
    with temporary_folder() as folder:
        database = DatabaseProcess(folder)
        try:
            database.start()
            config = into(database.dsn, flush_interval=0.1, retry_attempts=0)
            with Application(config, STEADILY) as application:
                a_view_is_there(database)
                stored_at_least(database, 100)
                database.kill()
                threading.Event().wait(2)
                result = application.end()
            database.start()
            status = result["status"]
            assert status["errors"] > 0
            assert status["last_error_reason"]
            # What was in the middle of being stored may be both: it was printed as nobody had said that it is stored.
            seen = printed(application.out)
            assert seen | stored(database) == all_of(result)
            assert sum(seen.values()) <= status["console"]
        finally:
            database.close()
