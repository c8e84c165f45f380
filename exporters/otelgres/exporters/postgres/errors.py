"""Classifies PostgreSQL errors by SQLSTATE: whether and how a failed write is retried.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from enum import Enum

import psycopg

from otelgres.sql.logins import LoginRefused


class ErrorClass(Enum):
    """What to do about an error."""

    UNAVAILABLE = "the database cannot store anything now: answer Unavailable, reconnect"
    CONFLICT = "the transaction conflicted with another one: repeat it at once"
    DUPLICATE = "some rows are stored already: write the new ones"
    NO_PARTITION = "a partition is missing: create it and repeat"
    POISON = "this data can never be stored: find the request that contains it"


def classify(error: psycopg.Error) -> ErrorClass:
    """The class of an error raised while rows were written."""
    state = error.sqlstate
    if state is None:
        # Raised by psycopg itself: a DataError is about the rows, all others are about the connection.
        return ErrorClass.POISON if isinstance(error, psycopg.DataError) else ErrorClass.UNAVAILABLE
    if state == "23505":
        return ErrorClass.DUPLICATE
    if state == "23514" and error.diag.constraint_name is None:
        # A violated CHECK constraint has a name. The message cannot be used: it is in the server's language.
        return ErrorClass.NO_PARTITION
    if state in ("40001", "40P01", "55P03"):
        return ErrorClass.CONFLICT
    if state[:2] in ("21", "22", "23", "54"):
        return ErrorClass.POISON
    # Connection (08), resources (53), shutdown and cancellation (57), read-only (25), rights (28, 42501), missing
    # schema (42P01), disk and internal errors (58, XX): none is caused by the data.
    return ErrorClass.UNAVAILABLE


def advice(error: psycopg.Error) -> str:
    """One sentence for the log of the receiver; it is not sent to clients."""
    if isinstance(error, LoginRefused):
        return "the DSN's user may not be used"
    state = error.sqlstate or ""
    if state in ("42P01", "3F000", "42883", "42703"):
        return "the schema is missing or older than this program: run `otelgres migrate`"
    if state == "25006":
        return "the server is read-only: point the DSN at the primary"
    if state == "42501" or state.startswith("28"):
        return "permission denied: check the DSN's user and its grants"
    if state.startswith("53"):
        return "PostgreSQL is out of a resource (disk, memory or connections)"
    return "PostgreSQL cannot be reached"
