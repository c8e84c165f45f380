"""``otelgres query``: each format read back by its own reader, and every way to write through it."""

import csv
import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.acceptance.receiver_process import OTELGRES, environment, invoke
from tests.waiting import TIMEOUT

VALUES = """
SELECT 1 AS n, 'a|[red]b' AS t, '2026-01-02 03:04:05.678901+00'::timestamptz AS at, 1.10::numeric AS money,
       'NaN'::float8 AS nan, '{"a": [1, null]}'::jsonb AS doc, ARRAY['x', NULL] AS list, '\\x00ff'::bytea AS raw,
       NULL::text AS nothing, true AS yes, '00000000-0000-0000-0000-000000000001'::uuid AS id, 9007199254740993 AS big
"""


def query(dsn: str, text: str, *more: str) -> str:
    done = invoke("query", text, *more, OTELGRES_DSN=dsn)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_table_format(database: str) -> None:
    lines = query(database, VALUES).splitlines()
    assert any(line.split()[:3] == ["n", "t", "at"] for line in lines)
    (row,) = (line for line in lines if "a|[red]b" in line)
    assert "2026-01-02 03:04:05.678901+00:00" in row
    assert "(1 row)" in lines
    assert "\x1b" not in query(database, "SELECT E'\\x1b[31mred\\x07' AS evil")
    assert "\n(2 more" in query(database, "SELECT * FROM generate_series(1, 502)")


def test_csv_and_json_have_the_values_of_sql(database: str) -> None:
    (row,) = csv.DictReader(io.StringIO(query(database, VALUES, "--format", "csv")))
    assert (row["money"], row["nothing"], row["raw"], row["yes"]) == ("1.10", "", "00ff", "true")
    assert json.loads(row["doc"]) == {"a": [1, None]}
    (found,) = json.loads(query(database, VALUES, "--format", "json"))
    assert found["at"] == "2026-01-02T03:04:05.678901+00:00"
    assert (found["nan"], found["list"], found["nothing"], found["big"]) == ("nan", ["x", None], None, 9007199254740993)
    assert json.loads(query(database, "SELECT 1 WHERE false", "--format", "json")) == []


def test_parquet_keeps_types(database: str, tmp_path: Path) -> None:
    file = tmp_path / "out.parquet"
    assert query(database, VALUES, "--format", "parquet", "-o", str(file)) == ""
    table = pq.read_table(file)
    types: dict[str, Any] = {field.name: field.type for field in table.schema}
    assert types["at"] == pa.timestamp("us", "UTC")
    assert (types["n"], types["big"], types["list"]) == (pa.int32(), pa.int64(), pa.list_(pa.string()))
    (row,) = table.to_pylist()
    assert (row["money"], row["raw"], row["list"], row["nothing"]) == ("1.10", b"\x00\xff", ["x", None], None)
    # The file's name says it, too.
    many = tmp_path / "many.parquet"
    query(database, "SELECT n FROM generate_series(1, 50000) AS n", "-o", str(many))
    assert pq.read_table(many)["n"].to_pylist() == list(range(1, 50001))


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE public.mine (n int)",
        "COMMIT; CREATE TABLE public.mine (n int)",
        "SELECT 1; SELECT 2",
        "SET default_transaction_read_only = off; CREATE TABLE public.mine (n int)",
        "SELECT set_config('transaction_read_only', 'off', true), (SELECT 1)",
        "WITH x AS (INSERT INTO _otel.losses SELECT * FROM _otel.losses RETURNING 1) SELECT * FROM x",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT * FROM otel.no_such_view",
        "",
    ],
    ids=["ddl", "commit first", "two", "setting first", "set_config", "insert", "copy", "unknown", "nothing"],
)
def test_it_only_reads(database: str, text: str) -> None:
    done = invoke("query", text, OTELGRES_DSN=database)
    assert done.returncode != 0
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT to_regclass('public.mine')").fetchone() == (None,)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("SELECT 1; SELECT 2", ", not several."),
        ("DELETE FROM _otel.losses", "; this one changes rows."),
        (" delete from otel.spans", "; this one changes rows."),
        ("SELECT lo_create(0)", " (cannot execute lo_create() in a read-only transaction)."),
        ("SET timezone = 'UTC'", "; this one returns no rows."),
    ],
)
def test_one_line_says_that_one_reading_statement_is_accepted(database: str, text: str, end: str) -> None:
    done = invoke("query", text, OTELGRES_DSN=database)
    accepted = "Error: one statement that reads is accepted, such as SELECT, WITH, VALUES or EXPLAIN"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{accepted}{end}\n")


@pytest.mark.parametrize(
    ("command", "file", "status", "text"),
    [
        ("query", "out.xyz", 1, "the suffix .xyz is not one of .txt, .csv, .json, .parquet"),
        ("report", "out.pdf", 1, "the suffix .pdf is not one of .txt, .html, .csv, .json"),
        ("query", "missing/out.csv", 1, "missing/out.csv cannot be written: No such file or directory"),
        ("report", "missing/out.csv", 1, "missing/out.csv cannot be written: No such file or directory"),
        ("query", "", 2, "the path is empty"),
        ("report", "", 2, "the path is empty"),
    ],
)
@pytest.mark.parametrize("option", ["-o", "--out"])
def test_a_file_that_cannot_be_written_is_one_line(
    database: str, tmp_path: Path, command: str, file: str, status: int, text: str, option: str
) -> None:
    path = str(tmp_path / file) if file else ""
    done = invoke(command, {"query": "SELECT 1", "report": "errors"}[command], option, path, OTELGRES_DSN=database)
    assert (done.returncode, text in done.stderr, list(tmp_path.iterdir())) == (status, True, []), done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert len(done.stderr.splitlines()) == (1 if status == 1 else 4)


@pytest.mark.skipif(sys.platform == "win32", reason="has no FIFOs")
def test_a_fifo_or_the_target_of_a_link_is_written(database: str, tmp_path: Path) -> None:
    link, target = tmp_path / "link.csv", tmp_path / "target.csv"
    target.write_text("before", encoding="utf-8")
    link.symlink_to(target)
    query(database, "SELECT 1 AS n", "-o", str(link))
    assert (link.is_symlink(), target.read_text(encoding="utf-8")) == (True, "n\n1\n")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(fifo.read_text, "utf-8")
        query(database, "SELECT 1 AS n", "--format", "csv", "--out", str(fifo))
        assert reading.result(TIMEOUT) == "n\n1\n"
    assert fifo.is_fifo()


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is a device of Linux")
def test_a_full_disk_below_stdout_is_one_line(database: str) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 (a device)
        done = subprocess.run(
            [*OTELGRES, "query", "SELECT 1"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT,
            env=environment(OTELGRES_DSN=database),
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        1,
        "otelgres: the output cannot be written: No space left on device\n",
    )


def test_a_long_run_is_stopped_and_leaves_no_half_file(database: str, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    done = invoke(
        *("query", "SELECT n, pg_sleep(0.01) FROM generate_series(1, 100000) AS n"),
        *("--timeout", "0.5", "--format", "csv", "-o", str(file)),
        OTELGRES_DSN=database,
    )
    assert done.returncode == 1
    assert "timed out after 0.5 s" in done.stderr
    assert list(tmp_path.iterdir()) == []
