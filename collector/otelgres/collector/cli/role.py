"""``otelgres role``: creates PostgreSQL logins with the rights of the group role for a receiver, reader or tenant."""

import contextlib
import re
import secrets
import sys
from pathlib import Path
from typing import Any

import click
import psycopg
from psycopg import sql

from otelgres.collector.cli.options import NamedPath, data_option
from otelgres.collector.cli.reading import database
from otelgres.collector.embedded.logins import Login
from otelgres.collector.security.private_file import InsecureFileMode, read_private
from otelgres.sql.logins import GROUPS, create_login, is_superuser, prepare_database, use_only_catalogs


@click.group()
def role() -> None:
    """Create logins for receivers, readers and tenants."""


@role.command(short_help="Create a login, or update its rights.")
@click.argument("name")
@click.option("--kind", type=click.Choice(list(GROUPS)), required=True, help="Rights of each kind: docs/security.md.")
@click.option("--tenant", help="With --kind tenant: the tenant.id (resource attribute) that it may read.")
@click.option("--create-roles", is_flag=True, help="With --kind owner: it may also create such logins itself.")
@click.option(
    "--password-file",
    type=NamedPath(allow_dash=True, path_type=Path),
    help='File with the password, "-" for stdin [a random one, printed once].',
)
@click.option(
    "--dsn", help="Database DSN, of a superuser or an owner with --create-roles [OTELGRES_DSN, else the embedded one]."
)
@data_option
def create(
    name: str,
    kind: str,
    tenant: str | None,
    create_roles: bool,
    password_file: Path | None,
    dsn: str | None,
    data: Path,
) -> None:
    """Create the login NAME, or set the rights and password of an existing one."""
    if (kind == "tenant") != (tenant is not None):
        raise click.UsageError("--kind tenant needs --tenant, and --tenant needs --kind tenant.")
    if create_roles and kind != "owner":
        raise click.UsageError("--create-roles needs --kind owner.")
    target = database(dsn, data, Login.OWNER)
    if re.match("(?i)pg_|otelgres_(reader|writer|owner|tenant)(_login)?$", name):
        raise click.UsageError(f"{name} is reserved by PostgreSQL or otelgres: choose another name.")
    password = _password(password_file)
    made_up = password is None
    word = password or secrets.token_urlsafe(24)
    try:
        with psycopg.connect(target, connect_timeout=5) as connection:
            _create(connection, name, kind, tenant, word, create_roles=create_roles)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction) as error:
        raise click.ClickException(f"{error.diag.message_primary}. {_advice(target, name)}") from error
    except psycopg.Error as error:
        raise click.ClickException(f"the role could not be created: {str(error).strip()}") from error
    click.echo(f"role {name}: {kind}" + (f" of tenant {tenant}" if tenant else ""), err=made_up)
    if made_up:
        click.echo(word)
        click.echo("The password is shown only once; PostgreSQL stores its hash.", err=True)


def _create(
    connection: psycopg.Connection[Any], name: str, kind: str, tenant: str | None, password: str, *, create_roles: bool
) -> None:
    superuser = is_superuser(connection)
    use_only_catalogs(connection)
    if superuser and kind == "tenant":
        # The tenant is stored in a table, whose owner may have added triggers.
        raise click.ClickException(
            "a superuser must not write to the tables of otelgres, where a login's tenant is stored: use the DSN of a "
            "login made by `otelgres role create NAME --kind owner --create-roles`."
        )
    if kind == "owner":
        prepare_database(connection)
    there = connection.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", [GROUPS[kind]]).fetchone()
    if there is None:
        raise click.ClickException("the roles of otelgres do not exist: run `otelgres migrate` first.")
    create_login(connection, name, kind, password, create_roles=create_roles)
    if superuser:
        return
    connection.execute("RESET ROLE")
    writable = connection.execute(
        "SELECT CASE WHEN to_regclass('_otel.tenants') IS NOT NULL "
        "THEN has_table_privilege('_otel.tenants', 'INSERT, DELETE') END"
    ).fetchone()
    if writable and writable[0]:
        connection.execute("DELETE FROM _otel.tenants WHERE role_name = %s", [name])
    if tenant is not None:
        if not writable or writable[0] is None:
            raise click.ClickException("the schema does not exist: run `otelgres migrate` first.")
        connection.execute("INSERT INTO _otel.tenants VALUES (%s, %s)", [name, tenant])


def _advice(dsn: str, name: str) -> str:
    with contextlib.suppress(psycopg.Error), psycopg.connect(dsn, connect_timeout=5) as connection:
        row = connection.execute(
            "SELECT r.rolcreaterole, EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %s) "
            "FROM pg_catalog.pg_roles r WHERE r.rolname = session_user",
            [name],
        ).fetchone()
        if row == (True, True):
            grant = sql.SQL("GRANT {} TO {} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE").format(
                sql.Identifier(name), sql.Identifier(connection.info.user)
            )
            return (
                f"Another login made {name}: use the DSN of that login or of a superuser, or, as a superuser, run "
                f"`{grant.as_string(connection)}`."
            )
    return "Use the DSN of a superuser, or of an owner made with --create-roles."


def _password(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        text = sys.stdin.read() if str(file) == "-" else read_private(file)
    except InsecureFileMode as error:
        raise click.UsageError(f"the password file {error}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file} cannot be read: {getattr(error, 'strerror', 'not UTF-8')}.") from None
    if not text.strip():
        raise click.UsageError("the password is empty.")
    return text.strip()
