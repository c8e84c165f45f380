"""The logins of otelgres: what each kind may do, how one is created, and whether a session is a superuser's.

A superuser's session runs whatever another role has attached to an object that it uses. So it only changes roles, moves
ownership and reads the catalogs, with ``search_path`` set to ``pg_catalog``; everything else is done by other logins.
"""

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

from otelgres.sql.queries import query

GROUPS: Final = {
    "reader": "otelgres_reader",
    "writer": "otelgres_writer",
    "tenant": "otelgres_tenant",
    "owner": "otelgres_owner",
}
SUPERUSER_ADVICE: Final = (
    "make another login, once, with this DSN: `otelgres role create otelgres_admin --kind owner --create-roles`. With "
    "the DSN of that one run `otelgres migrate` and `otelgres role create otelgres_receiver --kind writer`, and with "
    "the DSN of the latter `otelgres serve`"
)
# Settings of group roles are not inherited, so each login has its own. A session may still change them.
_READING: Final = (
    "statement_timeout = '30s'",
    "default_transaction_read_only = on",
    "idle_in_transaction_session_timeout = '60s'",
)
_SEARCH_PATHS: Final = {"reader": "otel, compat, public", "tenant": "otel_tenant"}
_CONNECTIONS: Final = 20
_ATTRIBUTES: Final = ("superuser", "createdb", "createrole", "replication", "bypassrls")
# Qualified, since the owner of a database chooses the search path of every session in it. The two predefined roles may
# start programs and write files as the server's operating-system user.
_SUPERUSER: Final = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_roles r
    WHERE (r.rolsuper OR r.rolname OPERATOR(pg_catalog.=) 'pg_execute_server_program'::pg_catalog.name
           OR r.rolname OPERATOR(pg_catalog.=) 'pg_write_server_files'::pg_catalog.name)
        AND pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER'::pg_catalog.text))
"""


class LoginRefused(psycopg.OperationalError):
    """The login must not be used for this; the message says which to use instead."""


def is_superuser(connection: psycopg.Connection[Any]) -> bool:
    """Whether the session's login is a superuser, may become one, or may run programs on the server. Changes nothing.

    By the login and not by the current role, which the session can reset.
    """
    row = connection.execute(_SUPERUSER).fetchone()
    return bool(row and (row["exists"] if isinstance(row, dict) else row[0]))


def refuse_superuser(connection: psycopg.Connection[Any]) -> None:
    """Raises LoginRefused if the login is a superuser (:func:`is_superuser`). To be called before anything is done."""
    if is_superuser(connection):
        raise LoginRefused(
            f"{connection.info.user} is a superuser of PostgreSQL, or can become one, and must not be used here: "
            f"{SUPERUSER_ADVICE}."
        )


def use_only_catalogs(connection: psycopg.Connection[Any]) -> None:
    """Makes names in a superuser's session mean PostgreSQL's own objects, whatever the database's settings say."""
    connection.execute("SELECT pg_catalog.set_config('search_path', 'pg_catalog', false)")


def prepare_database(connection: psycopg.Connection[Any]) -> None:
    """As a superuser or the database's owner with CREATEROLE: creates the group roles; owners may create schemas."""
    connection.execute(query("create_groups"))
    database = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("GRANT CREATE, CONNECT ON DATABASE {} TO otelgres_owner").format(database))


def create_login(
    connection: psycopg.Connection[Any], name: str, kind: str, password: str | None, *, create_roles: bool = False
) -> None:
    """Creates the login, or gives an existing one the rights of ``kind`` and no others; call it in a transaction.

    ``password`` is hashed before it is sent, so that the server's logs do not contain it; None: no password.
    ``create_roles``: it may create logins itself. Raises psycopg.Error.
    """
    # Role attributes are the login's own, not those of the role that owners use.
    connection.execute("SET LOCAL ROLE NONE")
    login = sql.Identifier(name)
    hashed = (
        password and connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    )
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN {} CONNECTION LIMIT {} PASSWORD {}").format(
            *_create_or_alter(connection, name, login, create_roles=create_roles),
            sql.Literal(_CONNECTIONS if kind in _SEARCH_PATHS else -1),
            sql.Literal(hashed),
        )
    )
    wanted = list(GROUPS.values()) if create_roles else [GROUPS[kind]]
    _revoke_groups(connection, name, wanted)
    for group in wanted:
        options = f" WITH INHERIT {group == GROUPS[kind]}, SET true, ADMIN {create_roles}"
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), login) + sql.SQL(options))
    connection.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(login))
    for setting in _settings(kind):
        connection.execute(sql.SQL("ALTER ROLE {} SET {}").format(login, setting))


def _create_or_alter(
    connection: psycopg.Connection[Any], name: str, login: sql.Identifier, *, create_roles: bool
) -> Sequence[sql.Composable]:
    row = connection.execute(
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_catalog.pg_roles "
        "WHERE rolname = %s",
        [name],
    ).fetchone()
    # Only a superuser may name some of these attributes, also to leave them as they are.
    has = dict(zip(_ATTRIBUTES, row or [False] * len(_ATTRIBUTES), strict=True))
    wanted = dict.fromkeys(_ATTRIBUTES, False) | {"createrole": create_roles}
    changed = [
        sql.SQL(attribute.upper() if wanted[attribute] else f"NO{attribute.upper()}")
        for attribute in _ATTRIBUTES
        if has[attribute] != wanted[attribute]
    ]
    return sql.SQL("ALTER" if row else "CREATE"), login, sql.SQL(" ").join(changed)


def _revoke_groups(connection: psycopg.Connection[Any], name: str, wanted: Sequence[str]) -> None:
    granted = connection.execute(
        "SELECT m.roleid::regrole::text, m.member::regrole::text, m.grantor::regrole::text "
        "FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.roleid "
        "WHERE m.member = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %s) AND r.rolname = ANY (%s)",
        [name, sorted(set(GROUPS.values()) - set(wanted))],
    ).fetchall()
    for group, member, grantor in granted:
        # A grant is revoked only with the name of who made it. The texts are quoted as identifiers already.
        connection.execute(f"REVOKE {group} FROM {member} GRANTED BY {grantor}".encode())


def _settings(kind: str) -> list[sql.Composable]:
    if kind == "owner":
        # Objects that an owner creates belong to all owners.
        return [sql.SQL("role = {}").format(sql.Literal(GROUPS[kind]))]
    if kind not in _SEARCH_PATHS:
        return []
    return [sql.SQL(setting) for setting in (*_READING, f"search_path = {_SEARCH_PATHS[kind]}")]
