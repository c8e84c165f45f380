"""``otelgres query``: each format read back by its own reader, and every way to write through it."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.acceptance.receiver_process import invoke

VALUES = """
SELECT 1 AS n, 'a|[red]b' AS t, '2026-01-02 03:04:05.678901+00'::timestamptz AS at, 1.10::numeric AS money,
       'NaN'::float8 AS nan, '{"a": [1, null]}'::jsonb AS doc, ARRAY['x', NULL] AS list, '\\x00ff'::bytea AS raw,
       NULL::text AS nothing, true AS yes, '00000000-0000-0000-0000-000000000001'::uuid AS id, 9007199254740993 AS big
"""


def query(dsn: str, text: str, *more: str) -> str:
    done = invoke("query", text, *more, OTELGRES_DSN=dsn)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_table_for_people(database: str) -> None:
    lines = query(database, VALUES).splitlines()
    assert any(line.split()[:3] == ["n", "t", "at"] for line in lines)
    (row,) = (line for line in lines if "a|[red]b" in line)
    assert "2026-01-02 03:04:05.678901+00:00" in row
    assert "(1 row)" in lines
    assert "\x1b" not in query(database, "SELECT E'\\x1b[31mred\\x07' AS evil")
    assert "\n(2 more" in query(database, "SELECT * FROM generate_series(1, 502)")


def test_csv_and_json_hold_what_sql_said(database: str) -> None:
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
