"""PostgreSQL itself reads the binary fields that we write."""

import math
from typing import Any

import psycopg

from otelgres.exporters.postgres.codec import copybinary as pg

_TABLE = (
    "CREATE TEMP TABLE t (n integer GENERATED ALWAYS AS IDENTITY, a text, b bytea, c jsonb, d smallint, e integer, "
    "f bigint, g double precision, h bigint[], i double precision[], j timestamptz, k uuid)"
)
_WIDTH = 11
_SMALLEST = 5e-324


def _copied(dsn: str, rows: list[list[bytes]]) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.execute(_TABLE)
        with connection.cursor() as cursor:
            with cursor.copy("COPY t (a, b, c, d, e, f, g, h, i, j, k) FROM STDIN (FORMAT BINARY)") as copy:
                head = _WIDTH.to_bytes(2, "big")
                copy.write(b"".join([pg.HEADER, *[part for row in rows for part in (head, *row)], pg.TRAILER]))
            return cursor.execute(
                "SELECT a, b, c::text, d, e, f, g, h, i, extract(epoch FROM j)::numeric, k::text FROM t ORDER BY n"
            ).fetchall()


def test_every_type_at_its_extremes(empty_database: str) -> None:
    text = "é🜁\n\\\t".encode()
    low = [
        pg.text(text), pg.text(b"\0\xff"), pg.jsonb(b'{"a":-9223372036854775808}'), pg.int2(-(2**15)),
        pg.int4(-(2**31)), pg.int8(-(2**63)), pg.float8(-math.inf), pg.int8_array([-(2**63), 0]),
        pg.float8_array([-math.inf, _SMALLEST]),
        pg.int8(-pg.PG_EPOCH_US), pg.text(bytes(16)),
    ]  # fmt: skip
    high = [
        pg.text(b""), pg.text(b""), pg.jsonb(b"null"), pg.int2(2**15 - 1), pg.int4(2**31 - 1), pg.int8(2**63 - 1),
        pg.float8(-0.0), pg.int8_array([]), pg.float8_array([]), pg.int8(1), pg.text(b"\xff" * 16),
    ]  # fmt: skip
    first, second, third = _copied(empty_database, [low, high, [pg.NULL] * _WIDTH])
    assert first == (
        text.decode(), b"\0\xff", '{"a": -9223372036854775808}', -(2**15), -(2**31), -(2**63), -math.inf,
        [-(2**63), 0], [-math.inf, _SMALLEST], 0, "00000000-0000-0000-0000-000000000000",
    )  # fmt: skip
    assert second[:6] == ("", b"", "null", 2**15 - 1, 2**31 - 1, 2**63 - 1)
    assert math.copysign(1, second[6]) == -1
    assert second[7:9] == ([], [])
    assert float(second[9]) == 946_684_800.000001
    assert third == (None,) * _WIDTH


def test_not_a_number(empty_database: str) -> None:
    row = [pg.NULL] * 6 + [pg.float8(math.nan), pg.NULL, pg.float8_array([math.nan, 1.5]), pg.NULL, pg.NULL]
    [found] = _copied(empty_database, [row])
    assert math.isnan(found[6])
    assert math.isnan(found[8][0])
    assert found[8][1] == 1.5
