"""Checks DSNs without quoting them, and hides their passwords in output and on the command line."""

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
    """The DSN is invalid; the message does not quote it."""


def check_dsn(dsn: str) -> None:
    """Raises InvalidDsn if the DSN is invalid; libpq's own error would quote it with its password."""
    try:
        given = conninfo_to_dict(dsn)
    except ProgrammingError:
        raise InvalidDsn(
            "it is neither a libpq URI (postgresql://user@host/database) nor key=value pairs. In a URI, write special "
            "characters of a password as %XX"
        ) from None
    # With an unescaped @, / or ? in the password the URI is valid, but parts of the password become the host, the port
    # or the database, which are quoted in connection errors.
    port = str(given.get("port") or "0")
    misplaced = any("@" in str(given.get(key) or "") for key in ("host", "port", "dbname"))
    if misplaced or not all(part.isdigit() for part in port.split(",") if part):
        raise InvalidDsn("its host, port or database is invalid. Write special characters of a password as %XX")


def has_secret(dsn: str) -> bool:
    """Whether the DSN contains a password or other secret."""
    given = conninfo_to_dict(dsn)
    return any(given.get(key) for key in _SECRETS)


def without_secrets(dsn: str) -> str:
    """The DSN with all secrets masked, for output."""
    given = conninfo_to_dict(dsn)
    masked = {key: _MASK for key in _SECRETS if given.get(key)}
    return make_conninfo(dsn, **masked) if masked else dsn


def hide_from_command_line(dsn: str) -> None:
    """Hides a valid DSN with a password on the command line where possible, and logs a warning."""
    if not has_secret(dsn):
        return
    hidden = "It was overwritten there" if hide_argument(dsn) else "It is still there"
    _log.warning(
        "the password in --dsn was visible to other users on the command line. %s; use OTELGRES_DSN, "
        "OTELGRES_DSN_FILE or PGPASSFILE instead",
        hidden,
    )


def hide_argument(argument: str) -> bool:
    """Overwrites ``argument`` on this process's command line, so that `ps` shows asterisks; returns whether it worked.

    Only on Linux, where a process can write to its arguments in memory.
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
