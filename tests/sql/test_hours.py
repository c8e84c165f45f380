"""Statistics by hour under writers: nothing is lost between a writer that is on its way and the adding up."""

import uuid

import psycopg
import pytest

from otelgres.collector.database.maintenance import roll_up_hours
from tests.sql import rows
from tests.sql.conftest import Ask
from tests.sql.rows import MS, NOON, Connection, Span

TRACE = uuid.UUID(int=1)
START = rows.unix_nano(NOON)
COUNTS = "SELECT sum(count)::int AS count FROM otel.hour_stats"
TAKE = "SELECT hour, taken FROM _otel.hours_to_roll_up(now())"
ROLL_UP = "SELECT _otel.roll_up_hour(%s, %s)"
STORED = "SELECT sum(count)::int AS count FROM _otel.hour_stats"


def span() -> Span:
    return Span(trace=TRACE, start=START, end=START + MS)


def test_hours_that_are_over_are_added_up_once(connection: Connection, ask: Ask) -> None:
    rows.insert(connection, [span(), span()])
    assert roll_up_hours(connection) == 1
    assert ask(STORED) == ask(COUNTS) == [{"count": 2}]
    assert roll_up_hours(connection) == 0
    rows.insert(connection, [span()])
    assert ask(COUNTS) == [{"count": 3}], "late spans count at once"
    assert ask(STORED) == [{"count": 2}]
    assert roll_up_hours(connection) == 1
    assert ask(STORED) == ask(COUNTS) == [{"count": 3}]


def test_a_writer_on_its_way_is_waited_for(connection: Connection, database: str, ask: Ask) -> None:
    rows.insert(connection, [span()])
    with psycopg.connect(database) as writer:
        rows.insert(writer, [span()])  # not committed, and the hour was marked already: it marks nothing itself
        with pytest.raises(psycopg.errors.LockNotAvailable):
            roll_up_hours(connection)
        assert ask(COUNTS) == [{"count": 1}]
        writer.commit()
    assert ask(COUNTS) == [{"count": 2}]
    assert roll_up_hours(connection) == 1
    assert ask(STORED) == ask(COUNTS) == [{"count": 2}]


def test_one_receiver_adds_up_at_a_time(connection: Connection, database: str) -> None:
    rows.insert(connection, [span()])
    with psycopg.connect(database) as other:
        assert len(other.execute(TAKE).fetchall()) == 1
        assert roll_up_hours(connection) == 0
        other.rollback()
    assert roll_up_hours(connection) == 1


def test_an_hour_that_another_receiver_takes_again_is_left_to_it(
    connection: Connection, database: str, ask: Ask
) -> None:
    rows.insert(connection, [span()])
    ours = connection.execute(TAKE).fetchall()
    with psycopg.connect(database) as writer:
        rows.insert(connection, [span()])  # marks the hour again
        rows.insert(writer, [span()])  # finds it marked, so it marks nothing itself
        theirs = connection.execute(TAKE).fetchall()  # takes that mark away, and must wait for the writer
        assert connection.execute(ROLL_UP, ours[0]).fetchone() == (False,)
        writer.commit()
    assert ask(COUNTS) == [{"count": 3}], "the hour counts as changed until it is added up"
    assert connection.execute(ROLL_UP, theirs[0]).fetchone() == (True,)
    assert ask(STORED) == ask(COUNTS) == [{"count": 3}]
    assert connection.execute(ROLL_UP, theirs[0]).fetchone() == (False,)


def test_waiting_for_writers_holds_nobody_up_afterwards(connection: Connection, database: str) -> None:
    rows.insert(connection, [span()])
    with psycopg.connect(database) as other:
        other.execute("SELECT _otel.wait_for_writers()")
        connection.execute("SET lock_timeout = '2s'")
        rows.insert(connection, [span()])
