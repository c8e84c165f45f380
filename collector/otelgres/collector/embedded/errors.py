"""Error messages of the embedded server, with advice derived from PostgreSQL's output."""

import re


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be used; the message says why and what to do."""


# The first match is used, so causes come before their symptoms.
_ADVICE = (
    (r"No space left on device|Check free disk space", "Free some disk space there, or use another data directory."),
    (
        r"error while loading shared libraries|GLIBC_\S+' not found|Library not loaded|[Ee]xec format error",
        "The packaged PostgreSQL does not run on this system: use the DSN of your own server instead.",
    ),
    (
        r"initialized by PostgreSQL version|incompatible with server",
        "This data belongs to another PostgreSQL: use another data directory, or dump it with the old server first.",
    ),
    (
        r"unrecognized configuration parameter|invalid value for parameter|outside the valid range|contains errors",
        "Correct the named line in local.conf (or postgresql.auto.conf), or delete that file.",
    ),
    (
        r"plus \"?reserved_connections",
        "Set a larger max_connections or a smaller reserved_connections in local.conf.",
    ),
    (
        r"pre-existing shared memory block|[Ii]s another postmaster",
        "Processes of an earlier server still use this data: wait a moment, or end them, and start again.",
    ),
    (
        r"[Cc]annot allocate memory|could not map anonymous shared memory|could not (create|resize) shared memory",
        "There is not enough (shared) memory: set a smaller shared_buffers in local.conf.",
    ),
    (
        r"could not locate a valid checkpoint record|invalid primary checkpoint|could not locate required checkpoint",
        "The data directory is damaged or an incomplete copy: restore it from a backup, or use another one.",
    ),
    (
        r"Permission denied|wrong ownership|invalid permissions|Operation not permitted|Read-only file system",
        "Use a data directory that its owner can write to, or correct the ownership and permissions of this one.",
    ),
    (
        r"could not look up effective user ID",
        "This user has no entry in the system's user database: run as a user that has one.",
    ),
)


def advice(printed: str) -> str:
    """One sentence of advice for ``printed``, PostgreSQL's output; "" if the error is unknown."""
    return next((sentence for pattern, sentence in _ADVICE if re.search(pattern, printed)), "")


def failure(what: str, printed: str) -> EmbeddedPostgresError:
    """The error ``what``, with advice and the last lines that PostgreSQL ``printed``."""
    lines = [line for line in printed.splitlines() if line.strip()][-12:]
    message = f"{what}. {advice(printed)}".rstrip()
    return EmbeddedPostgresError("\n  ".join([message, *lines]))
