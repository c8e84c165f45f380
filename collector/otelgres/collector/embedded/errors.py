"""Why the embedded server did not start, in words that say what to do next.

Refuses to know how a server is started: it is given text that PostgreSQL printed.
"""

import re


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be used as asked; the message says why and what to do."""


# First match wins, so causes stand before the symptoms they bring about.
_ADVICE = (
    (r"No space left on device|Check free disk space", "Free some disk space there, or give another data directory."),
    (
        r"error while loading shared libraries|GLIBC_\S+' not found|Library not loaded|[Ee]xec format error",
        "The packaged PostgreSQL does not run on this system: give the DSN of a server of your own instead.",
    ),
    (
        r"initialized by PostgreSQL version|incompatible with server",
        "This data belongs to another PostgreSQL: give another data directory, or dump it with the old server first.",
    ),
    (
        r"unrecognized configuration parameter|invalid value for parameter|outside the valid range|contains errors",
        "Correct the named line in local.conf (or postgresql.auto.conf), or delete that file.",
    ),
    (
        r"pre-existing shared memory block|[Ii]s another postmaster",
        "Processes of an earlier server still use this data: wait a moment, or end them, and start again.",
    ),
    (
        r"[Cc]annot allocate memory|could not map anonymous shared memory|could not (create|resize) shared memory",
        "There is too little (shared) memory: set a smaller shared_buffers in local.conf.",
    ),
    (
        r"could not locate a valid checkpoint record|invalid primary checkpoint|could not locate required checkpoint",
        "The data directory is damaged or an incomplete copy: restore it from a backup, or give another one.",
    ),
    (
        r"Permission denied|wrong ownership|invalid permissions|Operation not permitted|Read-only file system",
        "Give a data directory that its owner may write, or correct ownership and permissions of this one.",
    ),
    (
        r"could not look up effective user ID",
        "This user has no entry in the system's user database: run as a user that has one.",
    ),
)


def advice(printed: str) -> str:
    """One sentence that says what to do about ``printed``, the text PostgreSQL left; "" if it is of no known kind."""
    return next((sentence for pattern, sentence in _ADVICE if re.search(pattern, printed)), "")


def failure(what: str, printed: str) -> EmbeddedPostgresError:
    """The error for ``what`` went wrong: with advice and the last lines that PostgreSQL ``printed``."""
    lines = [line for line in printed.splitlines() if line.strip()][-12:]
    message = f"{what}. {advice(printed)}".rstrip()
    return EmbeddedPostgresError("\n  ".join([message, *lines]))
