"""``otelgres migrate``: brings a database to the schema of this version, says what it lacks, or makes it anew."""

import sys
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import click
import psycopg

from otelgres.collector.cli.progress import progress
from otelgres.collector.inspect.tabular import Column
from otelgres.collector.inspect.tabular.text import TableWriter
from otelgres.collector.service.settings import load
from otelgres.collector.tools.bench.processes import ProcessError, receiver, worker
from otelgres.sql.migrate import migrate as bring_up_to_date
from otelgres.sql.migrate import pending, up_to_date
from otelgres.sql.queries import query
from otelgres.sql.recreate import Contents, contents, drop

_PENDING = 1
_ALIVE = "SELECT DISTINCT host || ' ' || pid FROM otel.receivers WHERE alive"


@click.command(short_help="Bring the schema to the version of this program.")
@click.option("--dsn", help="The database. Better given as OTELGRES_DSN: `ps` shows flags to everyone.")
@click.option("--check-only", is_flag=True, help="Change nothing; exit 0 if all is there, 1 if something is pending.")
@click.option("--test-data", metavar="ID", help="Then run a small experiment of this id (a uuid) into the database.")
@click.option("--show-queries", is_flag=True, help="Print queries to try, and do nothing else.")
@click.option("--force", is_flag=True, help="Drop all schemas of otelgres first, with all that is in them. Asks.")
@click.option("--yes", is_flag=True, help="With --force: do not ask.")
@click.option("--i-know-this-deletes-data", "knows", is_flag=True, help="With --force: even if there is telemetry.")
def migrate(
    dsn: str | None, check_only: bool, test_data: str | None, show_queries: bool, force: bool, yes: bool, knows: bool
) -> None:
    """Apply what is missing. Without --force nothing is dropped."""
    if show_queries:
        click.echo(query("sample_queries").decode(), nl=False)
        return
    experiment = _experiment(test_data)
    if check_only and (force or test_data):
        raise click.UsageError("--check-only changes nothing: leave out --force and --test-data.")
    if (yes or knows) and not force:
        raise click.UsageError("--yes and --i-know-this-deletes-data are for --force.")
    target = load({"dsn": dsn}).dsn
    if not target:
        raise click.UsageError("Say which database: --dsn or the variable OTELGRES_DSN.")
    try:
        if check_only:
            sys.exit(_check(target))
        if force:
            _drop(target, yes=yes, knows=knows)
        with psycopg.connect(target, connect_timeout=5) as connection:
            steps = len(pending(connection))
        with progress("steps", steps) as advance:
            applied = bring_up_to_date(target, partial(_show_step, advance))
        click.echo(f"{len(applied)} migrations applied" if applied else "up to date")
        if experiment is not None:
            _run_experiment(target, experiment)
        if force or experiment is not None:
            _sizes(target)
    except psycopg.Error as error:
        raise click.ClickException(f"the database could not be migrated: {str(error).strip()}") from error


def _show_step(advance: Callable[[], None], step: str) -> None:
    click.echo(f"applying {step}")
    advance()


def _experiment(given: str | None) -> uuid.UUID | None:
    try:
        return None if given is None else uuid.UUID(given)
    except ValueError as error:
        raise click.UsageError(f"--test-data {given!r} is no uuid: say, for example, {uuid.uuid4()}.") from error


def _check(dsn: str) -> int:
    with psycopg.connect(dsn, connect_timeout=5, autocommit=True) as connection:
        missing = pending(connection)
        same = bool(missing) or up_to_date(connection)
        found = contents(connection)
        for name in found.schemas:
            relations, functions = connection.execute(
                "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = n.oid AND relkind IN ('r', 'p', 'v') "
                "AND NOT relispartition), (SELECT count(*) FROM pg_proc WHERE pronamespace = n.oid) "
                "FROM pg_namespace n WHERE nspname = %s",
                [name],
            ).fetchone() or (0, 0)
            click.echo(f"schema {name}: {relations} relations, {functions} functions")
        if not found.schemas:
            click.echo("nothing of otelgres is here")
    for name in missing:
        click.echo(f"pending: {name}")
    if missing:
        return _PENDING
    _sizes(dsn)
    # Beyond names: what was applied must be what the files say.
    click.echo(
        "up to date" if same else "a migration was changed after it had been applied: `otelgres migrate` says which"
    )
    return 0 if same else _PENDING


def _drop(dsn: str, *, yes: bool, knows: bool) -> None:
    with psycopg.connect(dsn, connect_timeout=5, autocommit=True) as connection:
        found = contents(connection)
        if not found.schemas:
            return
        _name(found)
        _nobody_writes(connection)
        if found.has_telemetry and not knows:
            raise click.UsageError(
                f"database {found.database} has telemetry in it, which would be lost: "
                "give --i-know-this-deletes-data as well if that is what you want."
            )
        if not yes and click.prompt("Type the name of the database to go on", default="") != found.database:
            raise click.ClickException("that is not its name: nothing was dropped.")
        drop(connection)
        click.echo(f"dropped schemas {', '.join(found.schemas)}")


def _name(found: Contents) -> None:
    click.echo(f"This drops from database {found.database} the schemas {', '.join(found.schemas)} and all in them:")
    for name, number in found.rows.items():
        click.echo(f"  {name}: {number:,} row{'s' if number != 1 else ''}")
    if not found.rows:
        click.echo("  no rows")


def _nobody_writes(connection: psycopg.Connection[Any]) -> None:
    try:
        alive = [row[0] for row in connection.execute(_ALIVE).fetchall()]
    except psycopg.Error:
        # What is broken or of another version is a reason to make it anew.
        return
    if alive:
        raise click.ClickException(f"receivers are writing to it (host, pid: {', '.join(alive)}): stop them first.")


def _run_experiment(dsn: str, experiment: uuid.UUID) -> None:
    try:
        with (
            receiver(dsn) as target,
            worker(
                "the experiment", "-m", "otel_setup.demo.pipeline_sample", f"http://{target.grpc}", str(experiment)
            ) as application,
        ):
            sent = application.answer()
    except ProcessError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"experiment {experiment}: " + ", ".join(f"{number} {signal}" for signal, number in sent.items()))


def _sizes(dsn: str) -> None:
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        found = connection.execute(
            "SELECT relation, table_name, partitions, estimated_rows, size FROM compat.pipeline_table_sizes"
        )
        columns = [Column(column.name, column.type_display) for column in found.description or []]
        with TableWriter(columns, sys.stdout) as shown:
            for row in found:
                shown.write(row)
