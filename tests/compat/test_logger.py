"""The logger in a real process on a real PostgreSQL, without a collector and with one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from otel_setup.sdk_adapter import PLAIN_ATTRIBUTES
from otelgres.collector.embedded import Cluster, Login
from tests import postgres
from tests.acceptance.receiver_process import environment, rows, run_otelgres, served
from tests.compat.logging_application import QUIET, into, printed, run
from tests.waiting import TIMEOUT, until

ROOT = Path(__file__).parents[2]


def logs(dsn: str, what: str = "message", where: str = "true") -> list[dict[str, Any]]:
    return rows(dsn, f"SELECT {what} FROM compat.app_logs WHERE {where} ORDER BY timestamp, id")


def test_a_database_with_nothing_in_it_is_all_it_needs(empty_database: str) -> None:
    body = """
for name in ("authentication", "authentication.tokens", "models", "other"):
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(get_logger(name), level)("%s of %s", level, name)
get_logger("noted").log(25, "of a level of its own")
"""
    config = into(empty_database, retention_days=90)
    config["logging"] |= {"level": "INFO", "components": {"authentication": "DEBUG", "models": "ERROR"}}
    result, _, err = run(config, body)
    assert (result["initialized"], result["in_time"], err) == (True, True, "")
    assert result["status"]["sent"] == 5 + 5 + 2 + 4 + 1
    found = logs(empty_database, "logger_name, level")
    assert [(row["logger_name"], row["level"]) for row in found] == [
        *[(name, level) for name in ("authentication", "authentication.tokens")
          for level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")],
        ("models", "ERROR"), ("models", "CRITICAL"),
        *[("other", level) for level in ("INFO", "WARNING", "ERROR", "CRITICAL")],
        ("noted", "Level 25"),
    ]  # fmt: skip
    kept = rows(
        empty_database, "SELECT table_name, extract(day FROM keep)::int AS days FROM _otel.retention ORDER BY 1"
    )
    assert kept == [{"table_name": "digests", "days": 7}, {"table_name": "logs", "days": 90}]
    (figures,) = rows(empty_database, "SELECT * FROM compat.logging_status")
    assert figures["last_flush"] is not None
    assert (figures["table_prefix"], figures["service_name"], figures["sent"]) == ("app", "app", 17)
    assert (figures["queued"], figures["errors"], figures["overflowed"]) == (0, 0, 0)


def test_a_row_has_everything_that_the_record_had(database: str) -> None:
    body = """
def risky():
    raise ValueError("of no \\x00 value")
def work():
    try:
        risky()
    except ValueError:
        more = {"user_id": 123, "ip": ["a", {"b": None}]}
        get_logger("api").error("Operation failed: %s", "x", exc_info=True, extra=more)
thread = threading.Thread(target=work, name="Worker 1"); thread.start(); thread.join()
result["pid"] = os.getpid()
result["thread"] = thread.ident
"""
    result, _, _ = run(into(database), body)
    (row,) = logs(database, "*", "logger_name = 'api'")
    assert (row["process_id"], row["thread_id"], row["thread_name"]) == (result["pid"], result["thread"], "Worker 1")
    assert (row["level"], row["message"], row["hostname"]) == ("ERROR", "Operation failed: x", os.uname().nodename)
    assert (row["function_name"], row["module"], row["filename"], row["pathname"]) == (
        "work",
        "<string>",
        "<string>",
        "<string>",
    )
    assert row["lineno"] > 5
    assert "in risky" in row["exception"]
    assert "ValueError: of no" in row["exception"]
    mixed = ["a", {"b": None}]
    assert row["extra_data"] == {"user_id": 123, "ip": json.dumps(mixed) if PLAIN_ATTRIBUTES else mixed}


def test_hostile_extras_affect_only_themselves(database: str) -> None:
    body = """
class Hostile:
    def __str__(self): raise RuntimeError("no")
    __repr__ = __str__
me = {}; me["me"] = me
for extra in ({"o": Hostile()}, {"big": "x" * 10_000_000}, {"nul": "a\\x00b", "k\\x00": 1}, {"self": me}, {"n": 2**100},
              {"bytes": b"\\xff\\x00"}, {"lone": "\\ud800"}, {"f": float("nan")}, {"set": {1}}, {"": 1}, {1: 2},
              {"process.pid": "many", "log.record.uid": "mine"}, {f"k{n}": n for n in range(1000)}):
    get_logger("hostile").info("one", extra=extra)
get_logger("hostile").info("%d", "no number")
get_logger("hostile").info("nul \\x00 here")
"""
    # The SDK warns once of the attributes that it does not take.
    result, _, _ = run(into(database), body, PYTHONWARNINGS="ignore")
    assert (result["in_time"], result["status"]["sent"], result["status"]["dropped"]) == (True, 15, 0)
    found = logs(database, "message, extra_data, process_id", "logger_name = 'hostile'")
    assert len(found) == 15
    assert "raised RuntimeError" in found[0]["extra_data"]["o"]
    assert len(found[1]["extra_data"]["big"]) < 70_000
    assert found[8]["extra_data"] == {"set": [1]}
    assert len({row["process_id"] for row in found}) == 1


def test_threads_and_a_fork_neither_lose_nor_duplicate_records(database: str) -> None:
    body = """
def work(who):
    for n in range(200):
        get_logger("w").info("%s %d", who, n)
get_logger("w").info("before")
pids = [os.fork() for _ in range(1)]
if pids == [0]:
    work("child")
    result["in_time"] = shutdown_logging()
    os._exit(0 if result["in_time"] else 1)
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
result["child"] = os.waitpid(pids[0], 0)[1]
result["same"] = get_logger("w") is get_logger("w")
"""
    result, _, _ = run(into(database), body)
    assert (result["child"], result["same"], result["status"]["sent"]) == (0, True, 1601)
    found = [row["message"] for row in logs(database)]
    expected = ["before", *(f"{who} {n}" for who in ("child", *range(8)) for n in range(200))]
    assert sorted(found) == sorted(expected)
    assert len({row["process_id"] for row in logs(database, "process_id")}) == 2


def test_a_batch_waits_for_its_size_or_its_time(database: str) -> None:
    body = """
begin = time.monotonic()
for n in range(99):
    get_logger("w").info("%d", n)
def until(sent):
    while logging_status()["sent"] < sent and time.monotonic() < begin + 60:
        threading.Event().wait(0.02)
    return time.monotonic() - begin
result["first"] = until(50)
result["sent"] = logging_status()["sent"]
result["rest"] = until(99)
result["flushes"] = logging_status()["flushes"]
"""
    result, _, _ = run(into(database, batch_size=50, flush_interval=6), body)
    assert (result["sent"], result["flushes"]) == (50, 2)
    assert result["rest"] > 5.5


def test_the_file_is_rotated_and_the_console_has_its_format(tmp_path: Path) -> None:
    config = {
        "logging": {
            "console": {"format": "%(levelname)s|%(name)s|%(message)s"},
            "file": {"enabled": True, "path": str(tmp_path / "deep" / "app.log"), "max_bytes": 1024, "backups": 2,
                     "format": "%(message)s"},
            "database": QUIET,
        }
    }  # fmt: skip
    result, out, err = run(config, "for n in range(400): get_logger('a.b').info('line %03d', n)")
    assert (result["initialized"], err) == (True, "")
    lines = [line for line in out.splitlines() if line.startswith("INFO|a.b|line ")]
    assert lines == [f"INFO|a.b|line {number:03}" for number in range(400)]
    files = sorted(path.name for path in (tmp_path / "deep").iterdir())
    assert files == ["app.log", "app.log.1", "app.log.2"]
    assert all((tmp_path / "deep" / name).stat().st_size <= 1024 for name in files)
    assert (tmp_path / "deep" / "app.log").read_text().endswith("line 399\n")


def test_a_file_that_cannot_be_written_is_warned_of_and_the_rest_works(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = {"logging": {"file": {"enabled": True, "path": str(tmp_path / "file" / "app.log")}, "database": QUIET}}
    result, out, err = run(config, "get_logger('a').info('still here')")
    assert (result["initialized"], err) == (True, "")
    assert "initialize_logger: logging.file.path" in out
    assert "still here" in out


@pytest.mark.parametrize("config", ["/nowhere/config.yml", 7, None])
def test_a_configuration_that_cannot_be_read_is_false_and_leaves_the_console(config: Any) -> None:
    environ = {"OTELGRES_LOGGER_CONFIG": "/nowhere/config.yml"} if config is None else {}
    result, out, err = run(config, "get_logger('a').warning('still here')", **environ)
    assert (result["initialized"], err) == (False, "")
    assert "initialize_logger: the configuration" in out
    assert "still here" in out


def test_a_second_call_is_harmless_and_after_shutdown_it_returns_false(database: str) -> None:
    body = """
result["again"] = initialize_logger(json.loads(sys.argv[1]))
result["handlers"] = len(logging.getLogger().handlers)
get_logger("a").info("once")
result["first"] = shutdown_logging()
result["after"] = initialize_logger()
get_logger("a").info("afterwards")
"""
    result, out, err = run(into(database, console={"enabled": True, "format": "%(message)s"}), body)
    assert (result["again"], result["handlers"], result["first"], result["after"], err) == (True, 2, True, False, "")
    assert [row["message"] for row in logs(database)] == ["once"]
    assert out.splitlines().count("once") == 1


@pytest.mark.parametrize("end", ["sys.exit(3)", "os.kill(os.getpid(), 15)"])
def test_an_end_without_shutdown_stores_what_there_is(database: str, end: str) -> None:
    body = f"""
import json, os, sys
from otel_setup.logger import *
initialize_logger(json.loads(sys.argv[1]))
get_logger('a').info('the last words')
{end}
"""
    done = subprocess.run(
        [sys.executable, "-c", body, json.dumps(into(database))],
        env=environment(),
        capture_output=True,
        timeout=TIMEOUT,
    )
    assert done.returncode in (3, -15)
    assert [row["message"] for row in logs(database)] == ["the last words"]


def test_items_beyond_the_queue_are_counted_and_no_call_blocks(tmp_path: Path) -> None:
    body = """
begin = time.monotonic()
for n in range(5000):
    get_logger("w").info("%d", n)
result["seconds"] = time.monotonic() - begin
"""
    dsn = f"postgresql:///x?host={tmp_path}"
    result, out, _ = run(into(dsn, queue_size=100, retry_attempts=0), body)
    status = result["status"]
    assert result["seconds"] < 20
    assert status["overflowed"] > 0
    # Each is printed or counted as lost. One that an export saves at the last moment is counted all the same, and what
    # the logger says of the database is a record, too.
    seen = printed(out)
    assert set(seen.values()) == {1}
    assert status["console"] - 1 <= len(seen) <= status["console"]
    assert 5000 <= status["overflowed"] + status["console"] <= 5050


@pytest.mark.parametrize(("console", "closed", "step"), [(False, False, "console"), (True, False, "console"),
                                                         (False, True, "stderr"), (True, True, "stderr")])  # fmt: skip
def test_what_is_not_stored_is_seen_once(tmp_path: Path, console: bool, closed: bool, step: str) -> None:
    body = "w = sys.stdout; sys.stdout = None\n" if closed else "w = sys.stdout\n"
    body += "get_logger('w').error('seen'); shutdown_logging(); sys.stdout = w"
    config = into(f"postgresql:///x?host={tmp_path}", retry_attempts=0, console={"enabled": console})
    result, out, err = run(config, body)
    assert (out + err).count("seen") == 1
    assert ("seen" in err) == closed
    assert result["status"][step] >= 1
    assert result["status"]["dropped"] == 0


def test_a_writers_login_does_with_a_schema_that_is_there(postgres_version: str) -> None:
    with postgres.fast_cluster(postgres_version) as own:
        owner, superuser = own.dsn(Login.OWNER), own.dsn(Login.SUPERUSER)
        assert run_otelgres("migrate", OTELGRES_DSN=owner).returncode == 0
        assert run_otelgres("role", "create", "w", "--kind", "writer", OTELGRES_DSN=owner).returncode == 0
        dsn = superuser.replace("//postgres", "//w", 1)
        result, out, err = run(into(dsn, console={"enabled": True}), "get_logger('a').info('one')")
        assert (result["status"]["dropped"], result["status"]["errors"], err) == (0, 0, "")
        assert "run SELECT compat.make_logs_view('app') as the owner" in out
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute("SELECT compat.make_logs_view('app')")
        result, out, err = run(into(dsn, console={"enabled": True}), "get_logger('a').info('two')")
        assert "otel_setup" not in out
        found = logs(owner, where="logger_name = 'a'")
        assert [row["message"] for row in found] == ["one", "two"]
        # One that may do nothing says so, and its records are seen.
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute("CREATE ROLE nobody_s LOGIN")
            connection.execute("CREATE DATABASE bare")
        bare = own.dsn(Login.SUPERUSER, "bare").replace("//postgres", "//nobody_s", 1)
        result, out, err = run(into(bare, retry_attempts=0), "get_logger('a').info('three')")
        assert (result["initialized"], result["status"]["sent"], result["status"]["dropped"]) == (True, 0, 0)
        assert result["status"]["console"] >= 1
        assert "three" in out
        assert result["status"]["last_error_reason"]


def test_through_a_collector_with_the_same_view(cluster: Cluster, migrated: str) -> None:
    with served(cluster, migrated) as receiver:
        config = into(receiver.dsn, endpoint=f"http://{receiver.grpc}")
        result, _, err = run(config, "get_logger('a').info('one', extra={'n': 1})")
        assert (result["initialized"], result["status"]["sent"], err) == (True, 1, "")
        assert logs(receiver.dsn, "message, extra_data") == [{"message": "one", "extra_data": {"n": 1}}]
        del config["logging"]["database"]["endpoint"], config["database"]["dsn"]
        config["database"] |= {"host": "127.0.0.1", "port": 1}
        run(
            config,
            "get_logger('a').info('two')",
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}",
        )
        until(lambda: len(logs(receiver.dsn, where="logger_name = 'a'")) == 2, "the second record")


def test_after_configure_telemetry_its_records_have_the_prefix(database: str) -> None:
    body = f"""
import json, sys
from otel_setup import configure_telemetry
from otel_setup.logger import *
configure_telemetry('shop', dsn={database!r}, spool=False)
print(initialize_logger(json.loads(sys.argv[1])))
get_logger('a').info('one')
print(shutdown_logging())
"""
    done = subprocess.run(
        [sys.executable, "-c", body, json.dumps(into(database))],
        env=environment(), capture_output=True, text=True, timeout=TIMEOUT,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "True" in done.stdout
    found = rows(
        database, "SELECT body, service_name FROM otel.logs WHERE resource_attributes ? 'otelgres.table_prefix'"
    )
    assert {"body": "one", "service_name": "shop"} in found


def test_all_signals_go_straight_into_a_database(empty_database: str) -> None:
    body = """
import logging, os
from otel_setup import checkpoint, configure_telemetry, flow, shutdown_telemetry
from opentelemetry import metrics
configure_telemetry("shop", spool=False)
with flow("order"):
    checkpoint("ACCEPTED")
    logging.getLogger("a").info("one")
metrics.get_meter("m").create_counter("orders").add(3)
assert shutdown_telemetry(20)
"""
    done = subprocess.run(
        [sys.executable, "-c", body], env=environment(OTELGRES_TELEMETRY_DSN=empty_database),
        capture_output=True, text=True, timeout=TIMEOUT,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(empty_database, "SELECT name, checkpoint_path, complete FROM otel.flows") == [
        {"name": "order", "checkpoint_path": ["ACCEPTED"], "complete": True}
    ]
    assert rows(empty_database, "SELECT body FROM otel.logs WHERE scope_name = 'a'") == [{"body": "one"}]
    assert rows(empty_database, "SELECT value FROM otel.metric_points WHERE metric_name = 'orders'") == [{"value": 3.0}]


@pytest.mark.parametrize("by", ["OTELGRES_DSN", "PGHOST"])
def test_the_example_prints_what_it_promises(empty_database: str, tmp_path: Path, by: str) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(empty_database)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname", "PGPASSWORD": "password"}
    environ = {"OTELGRES_DSN": empty_database}
    if by == "PGHOST":
        environ = {name: str(parts[key]) for name, key in names.items() if key in parts}
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "examples" / "logger.py")],
        env=environment(**environ),
        cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "all handed over: True, sent 3, dropped 0" in lines
    assert "DEBUG authentication Authentication debug info  " in lines
    assert "ERROR error_handler Operation failed  KeyError: 'missing'" in lines
    (login,) = [line for line in lines if line.startswith("INFO api User login {")]
    assert "'user_id': 123" in login
    assert "by SQL: {'sent': 3, 'flushes': 1, 'errors': 0}" in lines
    assert "Operation failed" in (tmp_path / "logs" / "app.log").read_text()


def test_old_days_are_dropped(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SELECT _otel.make_partition('logs', now() - interval '20 days')")
        before = connection.execute(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = '_otel.logs'::regclass"
        ).fetchone()
        run(into(database, retention_days=7), "get_logger('a').info('one')")
        old = connection.execute(
            "SELECT to_regclass('_otel.logs_' || to_char(now() AT TIME ZONE 'UTC' - interval '20 days', 'YYYYMMDD'))"
        ).fetchone()
        assert before is not None
        assert before[0] > 0
        assert old == (None,)


def test_no_password_is_ever_printed(tmp_path: Path) -> None:
    config = {
        "logging": {"database": {"retry_attempts": 0}},
        "database": {"host": str(tmp_path), "username": "me", "password": "31415926", "database": "d", "port": 5432},
    }
    result, out, err = run(config, "get_logger('a').error('one'); print(repr(logging.getLogger().handlers))")
    assert result["initialized"]
    assert result["status"]["errors"] == 1
    assert "postgresql://" in out
    assert "31415926" not in out + err + json.dumps(result)
