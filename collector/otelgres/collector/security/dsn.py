"""DSNs and the passwords in them: recognised, checked without being quoted, and taken out of what others can read.

Refuses to know what a DSN is used for.
"""

import logging
import sys
from pathlib import Path
from typing import Final

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_log = logging.getLogger(__name__)

_SECRETS: Final = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
_MASK: Final = "***"


class InvalidDsn(ValueError):  # noqa: N818 (named for what the operator is told)
    """The DSN cannot be what was meant; the message quotes nothing of it."""


def check_dsn(dsn: str) -> None:
    """Raises InvalidDsn for what libpq would refuse by quoting it, password and all, in an error that gets logged."""
    try:
        given = conninfo_to_dict(dsn)
    except ProgrammingError:
        raise InvalidDsn(
            "it is neither a libpq URI (postgresql://user@host/database) nor key=value pairs. In a URI, special "
            "characters of a password are written as %XX"
        ) from None
    # A password with a bare @, / or ? makes a URI that is valid and means something else: parts of the password become
    # the host, the port or the database, and are named when no connection can be made.
    port = str(given.get("port") or "0")
    misplaced = any("@" in str(given.get(key) or "") for key in ("host", "port", "dbname"))
    if misplaced or not all(part.isdigit() for part in port.split(",") if part):
        raise InvalidDsn("its host, port or database is none. Special characters of a password are written as %XX")


def has_secret(dsn: str) -> bool:
    """Whether it holds a password."""
    given = conninfo_to_dict(dsn)
    return any(given.get(key) for key in _SECRETS)


def without_secrets(dsn: str) -> str:
    """For people's eyes: the same, with every password masked."""
    given = conninfo_to_dict(dsn)
    masked = {key: _MASK for key in _SECRETS if given.get(key)}
    return make_conninfo(dsn, **masked) if masked else dsn


def hide_from_command_line(dsn: str) -> None:
    """What came by flag, if it holds a password: hidden from others where that can be done, and said. A valid DSN."""
    if not has_secret(dsn):
        return
    hidden = "It was overwritten there" if hide_argument(dsn) else "It stays there"
    _log.warning(
        "the password in --dsn was on the command line for all to see. %s; use OTELGRES_DSN, OTELGRES_DSN_FILE "
        "or PGPASSFILE instead",
        hidden,
    )


def hide_argument(argument: str) -> bool:
    """Overwrites this argument of our own command line, so that `ps` shows stars; whether that worked.

    Linux lets a process write to its own arguments where they lie in its memory. Elsewhere nothing is done.
    """
    if sys.platform != "linux":
        return False
    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b") ")[2].split()
        start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, fields 48 and 49 of the whole line
        secret = argument.encode("utf-8", "surrogateescape")
        with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
            memory.seek(start)
            line = memory.read(end - start)
            at = line.find(secret)
            while at >= 0:
                memory.seek(start + at)
                memory.write(b"*" * len(secret))
                at = line.find(secret, at + len(secret))
        return secret not in Path("/proc/self/cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return False
