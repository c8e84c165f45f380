"""A connection to a fresh database, and rows as dicts."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.sql.rows import Connection

Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        opened.execute("SET timezone = 'UTC'")
        yield opened


@pytest.fixture
def ask(connection: Connection) -> Ask:
    """Runs a query on ``connection`` and returns its rows as dicts."""

    def run(query: str, *parameters: Any) -> list[dict[str, Any]]:
        with connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode(), parameters).fetchall()

    return run
