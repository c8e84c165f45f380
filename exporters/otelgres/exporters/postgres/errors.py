"""What a PostgreSQL error means for the rows that met it: the one place that knows SQLSTATEs.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from enum import Enum

import psycopg


class ErrorClass(Enum):
    """What to do about an error."""

    AWAY = "the database cannot take anything now: answer 'come back', connect anew"
    AGAIN = "the transaction lost a race: do it again at once"
    DUPLICATE = "something of it is stored already: write what is new"
    NO_PARTITION = "a partition is missing: make it and do it again"
    POISON = "this data can never be stored: find the request it came in"


def meaning(error: psycopg.Error) -> ErrorClass:
    """The meaning of an error raised while rows were written."""
    state = error.sqlstate
    if state is None:
        # psycopg's own: a DataError is ours to answer for, everything else is the connection.
        return ErrorClass.POISON if isinstance(error, psycopg.DataError) else ErrorClass.AWAY
    if state == "23505":
        return ErrorClass.DUPLICATE
    if state == "23514" and error.diag.constraint_name is None:
        # Told from a CHECK constraint by its lack of a name: the message is in the server's language.
        return ErrorClass.NO_PARTITION
    if state in ("40001", "40P01", "55P03"):
        return ErrorClass.AGAIN
    if state[:2] in ("21", "22", "23", "54"):
        return ErrorClass.POISON
    # Connection (08), resources (53), shutdown and cancellation (57), read-only (25), rights (28, 42501), a schema that
    # is not there (42P01), disk and internal errors (58, XX): none is the fault of the data, all are mended outside.
    return ErrorClass.AWAY


def advice(error: psycopg.Error) -> str:
    """One sentence for the log of the receiver; senders never see it."""
    state = error.sqlstate or ""
    if state in ("42P01", "3F000", "42883", "42703"):
        return "the schema is missing or older than this program: run `otelgres migrate`"
    if state == "25006":
        return "the server is read-only: point the DSN at the primary"
    if state == "42501" or state.startswith("28"):
        return "the role has no right to this: check the DSN's user and its grants"
    if state.startswith("53"):
        return "PostgreSQL is out of a resource (disk, memory or connections)"
    return "PostgreSQL cannot be reached"
