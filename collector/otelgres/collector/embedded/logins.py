"""The three logins of the embedded server, and the superuser that creates them once.

``owner`` migrates and maintains the schema, ``writer`` stores, ``reader`` reads; see docs/security.md. A comment on the
owner's login, which only the superuser can change, says which set-up was done.
"""

import secrets
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from otelgres.collector.embedded.postmaster import SUPERUSER
from otelgres.collector.system.folder import Folder
from otelgres.sql.logins import create_login, prepare_database, use_only_catalogs
from otelgres.sql.queries import query

DATABASE: Final = "otelgres"
_MAINTENANCE: Final = "postgres"  # a database in which only the superuser creates objects
_SET_UP: Final = "otelgres set-up 2"  # with another number, the next start does it again
_DONE: Final = """
SELECT pg_catalog.shobj_description(oid, 'pg_authid') FROM pg_catalog.pg_roles
WHERE rolname OPERATOR(pg_catalog.=) session_user
"""


class Login(StrEnum):
    """A login of the embedded server."""

    SUPERUSER = "superuser"
    OWNER = "owner"
    WRITER = "writer"
    READER = "reader"

    @property
    def user(self) -> str:
        """The name of the role."""
        return SUPERUSER if self is Login.SUPERUSER else f"otelgres_{self.value}_login"

    def password_file(self, data: Path) -> Path:
        """The file with its password in the data folder; only where there are no Unix sockets."""
        return data / ("password" if self is Login.SUPERUSER else f"password-{self.value}")


OURS: Final = (Login.OWNER, Login.WRITER, Login.READER)


def password(login: Login, data: Path) -> str:
    """The password of a login, created if there is none yet. Raises OSError."""
    name = login.password_file(data).name
    with Folder(data, links=True) as folder:
        if folder.kind(name) is None:
            folder.write(name, secrets.token_urlsafe(32) + "\n", 0o600)
        return folder.read(name).strip()


def set_up(dsn: Callable[[Login, str], str], passwords: Callable[[Login], str | None]) -> None:
    """Creates the logins and the database, or gives those of an earlier version their present rights.

    ``dsn`` makes a DSN of a login and a database. Raises psycopg.Error.
    """
    if _done(dsn(Login.OWNER, DATABASE)):
        return
    with psycopg.connect(dsn(Login.SUPERUSER, _MAINTENANCE), autocommit=True) as connection:
        use_only_catalogs(connection)
        connection.execute(query("create_groups"))
        # Maintenance ends readers that are idle in a transaction: on this server all sessions are of otelgres.
        connection.execute("GRANT pg_signal_backend, pg_read_all_stats TO otelgres_owner")
        with connection.transaction():
            for login in OURS:
                create_login(connection, login.user, login.value, passwords(login), create_roles=login is Login.OWNER)
        known = connection.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", [DATABASE]).fetchone()
        statement = (
            "CREATE DATABASE {} OWNER otelgres_owner" if known is None else "ALTER DATABASE {} OWNER TO otelgres_owner"
        )
        connection.execute(sql.SQL(statement).format(sql.Identifier(DATABASE)))
        own(dsn(Login.SUPERUSER, DATABASE))
        comment = sql.SQL("COMMENT ON ROLE {} IS {}").format(sql.Identifier(Login.OWNER.user), sql.Literal(_SET_UP))
        connection.execute(comment)


def own(dsn: str) -> None:
    """As the superuser, in a database of otelgres alone: its objects belong to the owner, PUBLIC has no rights."""
    with psycopg.connect(dsn) as connection:
        use_only_catalogs(connection)
        prepare_database(connection)
        connection.execute(query("restrict_database"))
        connection.execute(query("move_ownership"))


def _done(owner_dsn: str) -> bool:
    try:
        with psycopg.connect(owner_dsn, autocommit=True) as connection:
            return connection.execute(_DONE).fetchone() == (_SET_UP,)
    except psycopg.OperationalError:  # there is no such login or database yet
        return False
