"""A PostgreSQL server for tests: our own embedded one, one for each test process, gone when the session is over."""

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from otelgres.collector.embedded import Cluster, Login, postmaster, server
from otelgres.collector.embedded.binaries import DEFAULT_VERSION
from otelgres.sql.migrate import migrate

VERSION_VARIABLE = "OTELGRES_TEST_POSTGRES"
_PREFIX = "otelgres-tests-"
# Only for tests that kill nothing: a crash may lose data, and a later start with it.
_FAST = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB", "min_wal_size": "80MB"}
_numbers = itertools.count(1)


def version(option: str | None) -> str:
    """The major version to test on: the command line's, else the environment's, else the default."""
    return option or os.environ.get(VERSION_VARIABLE) or DEFAULT_VERSION


@contextmanager
def temporary_data() -> Iterator[Path]:
    """An empty folder for servers' data folders; afterwards it is removed, and whatever server still runs below it."""
    data = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    try:
        yield data
    finally:
        _remove(data)


@contextmanager
def fast_cluster(major: str, **more: str) -> Iterator[Cluster]:
    """A running server in a temporary folder, removed afterwards. Not durable: not for tests that kill.

    ``more`` are settings of PostgreSQL.
    """
    _sweep()
    with temporary_data() as data, Cluster(data / "cluster", version=major, more={**_FAST, **more}) as cluster:
        yield cluster


@contextmanager
def migrated_data(major: str) -> Iterator[Path]:
    """A data folder with our schema on which nothing runs, for ``copy_data``; removed afterwards."""
    with temporary_data() as folder:
        with Cluster(folder / "data", version=major) as cluster:
            migrate(cluster.dsn(Login.OWNER))
        yield folder / "data"


def copy_data(made: Path, target: Path) -> None:
    """A copy of a data folder at ``target``, which does not exist: a third of what it takes to make one."""
    subprocess.run(["cp", "-a", made, target], check=True)
    (target / "owner.lock").unlink(missing_ok=True)


@contextmanager
def new_database(cluster: Cluster, template: str = "template0") -> Iterator[str]:
    """A database copied from ``template``, dropped afterwards with whoever is connected; yields its owner's DSN."""
    name = f"test_{next(_numbers)}"
    create_database(cluster, name, template)
    try:
        yield database_dsn(cluster, name)
    finally:
        _execute(cluster, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def create_database(cluster: Cluster, name: str, template: str = "template0") -> str:
    """Make a database that belongs to otelgres_owner; the DSN of that owner's login, which is no superuser."""
    # Copied as files: by way of the write-ahead log it takes half as much CPU again.
    statement = sql.SQL("CREATE DATABASE {} OWNER otelgres_owner TEMPLATE {} STRATEGY FILE_COPY")
    _execute(cluster, statement.format(sql.Identifier(name), sql.Identifier(template)))
    return database_dsn(cluster, name)


def database_dsn(cluster: Cluster, name: str, login: Login = Login.OWNER) -> str:
    """The DSN of another database on the same server."""
    return cluster.dsn(login, name)


def as_login(dsn: str, login: Login | str) -> str:
    """The DSN of another login, one of the server's or by its name, for the database of ``dsn``."""
    user = login.user if isinstance(login, Login) else login
    return dsn.replace(f"//{conninfo_to_dict(dsn)['user']}@", f"//{user}@", 1)


def as_role(dsn: str, role: str) -> str:
    """The DSN of the same database, with the rights of another role."""
    return f"{dsn}&options=-c%20role%3D{role}"


def _execute(cluster: Cluster, statement: sql.Composed) -> None:
    with psycopg.connect(cluster.dsn(Login.SUPERUSER, "postgres"), autocommit=True) as connection:
        connection.execute(statement)


def _sweep() -> None:
    """Stop and remove what test processes left that were killed before they could do so themselves."""
    for data in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = data.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            with contextlib.suppress(OSError):  # somebody else's, or another worker is at it
                _remove(data)


def _remove(data: Path) -> None:
    for pgdata in data.rglob("postgres"):
        left = postmaster.find(pgdata)
        if left is not None:
            server.stop(left.process, Path(), pgdata, timeout=0)
    shutil.rmtree(data, ignore_errors=True)
