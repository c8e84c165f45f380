"""Every routine of ours, called as every kind of login with hostile arguments, and the steps from there to a shell.

Nothing of a caller may run with the rights of somebody else, and what a login changes must be what its kind may change.
"""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg import sql

from otelgres.collector.embedded import Cluster
from otelgres.collector.embedded.logins import Login
from otelgres.exporters.outcome import Accepted
from otelgres.exporters.postgres.writer import PostgresWriter
from otelgres.sql.migrate import migrate
from tests.acceptance.receiver_process import invoke
from tests.attack.hostile import CASTS, HOSTILE, SHADOWS, STEPS, TRAPS
from tests.attack.result import Result
from tests.otlp_raw import attribute, batch
from tests.postgres import as_login, create_database, database_dsn
from tests.sinks import sent

GROUP: Final = "privileges"
SCHEMAS: Final = ["_otel", "otel", "compat", "otel_tenant"]
# In rows of another tenant: no tenant may ever read it.
SECRET: Final = "text-of-another-tenant"
KINDS: Final = ("writer", "reader", "tenant", "stranger")
_RAISED: Final = "TRAP"
_SECONDS: Final = 2

_CATALOG: Final = """
SELECT 'role ' || rolname, (rolsuper, rolcreaterole, rolcreatedb, rolbypassrls)::text FROM pg_roles
UNION ALL SELECT 'member ' || roleid::regrole || ' ' || member::regrole, admin_option::text FROM pg_auth_members
UNION ALL SELECT 'schema ' || nspname, (nspowner::regrole, nspacl)::text FROM pg_namespace
          WHERE nspname !~ '^pg_(temp|toast)'
UNION ALL SELECT 'routine ' || oid::regprocedure, (proowner::regrole, prosecdef, proacl, md5(prosrc))::text FROM pg_proc
          WHERE pronamespace::regnamespace::text = ANY (%(schemas)s)
UNION ALL SELECT 'relation ' || oid::regclass, (relowner::regrole, relacl, relhastriggers)::text FROM pg_class
          WHERE relnamespace::regnamespace::text = ANY (%(schemas)s) AND NOT relispartition
          AND relkind IN ('r', 'p', 'v')
UNION ALL SELECT 'trigger ' || tgname || ' ' || tgrelid::regclass, tgfoid::regprocedure::text FROM pg_trigger t
          JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace::regnamespace::text = ANY (%(schemas)s)
          AND NOT c.relispartition
UNION ALL SELECT 'setting ' || setdatabase || ' ' || setrole, setconfig::text FROM pg_db_role_setting
"""
_ROUTINES: Final = """
SELECT p.pronamespace::regnamespace::text AS schema, p.proname AS name, p.prokind::text AS kind,
       ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, n) ORDER BY n) AS types,
       p.prorettype = 'trigger'::regtype AS is_trigger
FROM pg_proc p WHERE p.pronamespace::regnamespace::text = ANY (%(schemas)s) ORDER BY 1, 2, 4
"""
_RELATIONS: Final = """
SELECT c.oid::regclass::text AS name FROM pg_class c
WHERE c.relnamespace::regnamespace::text = ANY (%(schemas)s) AND c.relkind IN ('r', 'p', 'v', 'S') ORDER BY 1
"""
# Rows of these may change by themselves or are the writer's to add to; no row of any may disappear.
_COUNTED: Final = ("spans", "logs", "number_points", "digests", "losses", "resources", "scopes", "series", "metrics",
                   "flow_parts", "receivers", "tenants", "retention", "migrations")  # fmt: skip


@dataclass
class Walk:
    """What one login could do: calls made, calls that succeeded, and what it should have been unable to do."""

    kind: str
    calls: int = 0
    allowed: int = 0
    broken: list[str] = field(default_factory=list)

    def result(self) -> Result:
        """The row of the table."""
        figures = f"{self.calls} statements, {self.allowed} permitted"
        more = "; ".join(dict.fromkeys(self.broken))
        return Result(GROUP, f"everything as {self.kind}", f"{figures}: {more}" if more else figures, not self.broken)


def walk(owner: str, admin: str) -> Iterator[Result]:
    """A migrated database with rows of two tenants, walked as each kind of login; DSNs of an owner and a superuser."""
    suffix = uuid.uuid4().hex[:6]
    logins = {kind: _login(owner, kind, f"attack_{kind}_{suffix}") for kind in KINDS}
    _fill(owner)
    for kind, dsn in logins.items():
        before, rows = _catalog(admin), _rows(admin)
        walked = Walk(kind)
        _call_routines(admin, dsn, walked)
        _attach_triggers(admin, dsn, walked)
        _take_steps(dsn, walked)
        _read_everything(admin, dsn, walked)
        after, left = _catalog(admin), _rows(admin)
        changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        walked.broken += [f"changed {name}" for name in changed]
        walked.broken += [f"{name} lost rows" for name, count in rows.items() if left[name] < count]
        if kind != "writer":
            walked.broken += [f"{name} has more rows" for name, count in rows.items() if left[name] > count]
        yield walked.result()
    yield _partitions(admin)


def _login(owner: str, kind: str, name: str) -> str:
    if kind == "stranger":
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute("SET ROLE NONE")
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    else:
        more = ("--tenant", "a") if kind == "tenant" else ()
        done = invoke("role", "create", name, "--kind", kind, *more, OTELGRES_DSN=owner)
        if done.returncode:
            raise RuntimeError(done.stderr)
    return as_login(owner, name)


def _fill(owner: str) -> None:
    writer = PostgresWriter(owner)
    try:
        for tenant, word in (("a", "ours"), ("b", SECRET)):
            where = attribute("tenant.id", tenant)
            for one in (
                sent.request(sent.span(word, attributes=[attribute("word", word)])),
                sent.request(sent.record(word)),
                sent.request(sent.point(sent.NOW)),
            ):
                groups = getattr(one, one.DESCRIPTOR.fields[0].name)
                groups[0].resource.attributes.append(where)
                if writer.write([batch(one)]) != [Accepted()]:
                    raise RuntimeError("the rows of the attack were not stored")
    finally:
        writer.close()


def _catalog(admin: str) -> dict[str, str]:
    with psycopg.connect(admin) as connection:
        return dict(connection.execute(_CATALOG.encode(), {"schemas": SCHEMAS}).fetchall())


def _rows(admin: str) -> dict[str, int]:
    with psycopg.connect(admin) as connection:
        return {
            table: connection.execute(f"SELECT count(*) FROM _otel.{table}".encode()).fetchall()[0][0]
            for table in _COUNTED
        }


class _Session:
    """A login's session with its traps set; a trap that runs as somebody else is noted in the walk."""

    def __init__(self, dsn: str, walked: Walk) -> None:
        self._walked = walked
        self._now = ""
        self.connection: psycopg.Connection[Any] = psycopg.connect(dsn, autocommit=True)
        self.connection.add_notice_handler(self._noticed)
        self.connection.execute(f"SET statement_timeout = '{_SECONDS}s'".encode())
        self.connection.execute("SET default_transaction_read_only = off")
        self.has_traps = self._set_traps()

    def _set_traps(self) -> bool:
        try:
            self.connection.execute(TRAPS.encode())
        except psycopg.errors.InsufficientPrivilege:
            # Without TEMP there is nowhere to put them, which is the point.
            return False
        for number, (target, body) in enumerate(CASTS.items()):
            self._try(
                f"CREATE FUNCTION pg_temp.cast_{number}(pg_temp.evil) RETURNS {target} "
                f"LANGUAGE sql AS $$ SELECT {body} $$"
            )
            self._try(
                f"CREATE CAST (pg_temp.evil AS {target}) WITH FUNCTION pg_temp.cast_{number}(pg_temp.evil) AS IMPLICIT"
            )
        for shadow in SHADOWS:
            self._try(f"CREATE FUNCTION pg_temp.{shadow} RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.trap() $$")
        for table in ("spans", "tenants", "flow_parts", "resources"):
            self._try(f"CREATE TEMP TABLE {table} (name text DEFAULT pg_temp.trap())")
        self._try("SET search_path = pg_temp, _otel, otel, compat, otel_tenant, pg_catalog")
        return True

    def _noticed(self, notice: psycopg.errors.Diagnostic) -> None:
        found = re.match(rf"{_RAISED} (\S+) (\S+)$", notice.message_primary or "")
        if found and found[1] != found[2]:
            self._walked.broken.append(f"a caller's code ran as {found[1]} in {self._now}")

    def _try(self, statement: str) -> None:
        try:
            self.connection.execute(statement.encode())
        except psycopg.Error:
            return

    def run(self, statement: str) -> bool:
        """Whether the statement succeeded."""
        self._now = statement[:120]
        self._walked.calls += 1
        try:
            with self.connection.transaction(force_rollback=statement.startswith("SET ROLE")):
                self.connection.execute(statement.encode())
        except psycopg.Error:
            return False
        self._walked.allowed += 1
        return True


def _call_routines(admin: str, dsn: str, walked: Walk) -> None:
    with psycopg.connect(admin) as connection:
        routines = connection.execute(_ROUTINES.encode(), {"schemas": SCHEMAS}).fetchall()
    session = _Session(dsn, walked)
    with session.connection:
        for schema, name, kind, types, is_trigger in routines:
            if is_trigger:
                continue
            for arguments in _argument_lists(types, traps=session.has_traps):
                call = f"{schema}.{name}({', '.join(arguments)})"
                session.run(
                    f"CALL {call}" if kind == "p" else f"SELECT * FROM {call}" if kind == "f" else f"SELECT {call}"
                )


def _argument_lists(types: list[str], *, traps: bool) -> Iterator[list[str]]:
    """Each hostile value of each argument once, the others being ordinary; then traps and NULL for all."""
    ordinary = [f"({HOSTILE.get(one, ('NULL',))[0]})::{one}" for one in types]
    yield ordinary
    for place, one in enumerate(types):
        for value in HOSTILE.get(one, ())[1:]:
            yield [*ordinary[:place], f"({value})::{one}", *ordinary[place + 1 :]]
    if types:
        yield [f"NULL::{one}" for one in types]
        if traps:
            yield ["ROW('x')::pg_temp.evil" for _ in types]


def _attach_triggers(admin: str, dsn: str, walked: Walk) -> None:
    """Trigger functions of ours on a table of the caller's whose columns convert by the caller's functions."""
    with psycopg.connect(admin) as connection:
        routines = connection.execute(_ROUTINES.encode(), {"schemas": SCHEMAS}).fetchall()
        columns: dict[str, str] = dict(connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = '_otel.spans'::regclass AND attnum > 0 AND NOT attisdropped"
        ).fetchall())  # fmt: skip
    triggers = [f"{schema}.{name}" for schema, name, _, _, is_trigger in routines if is_trigger]
    session = _Session(dsn, walked)
    with session.connection:
        for column in columns:
            definition = ", ".join(
                f"{one} {'pg_temp.evil' if one == column else type_}" for one, type_ in columns.items()
            )
            session.run("DROP TABLE IF EXISTS pg_temp.hostile")
            session.run(f"CREATE TEMP TABLE hostile ({definition})")
            for trigger in triggers:
                if session.run(
                    f"CREATE TRIGGER t AFTER INSERT ON pg_temp.hostile REFERENCING NEW TABLE AS new_spans "
                    f"FOR EACH STATEMENT EXECUTE FUNCTION {trigger}()"
                ):
                    walked.broken.append(f"{trigger} may be attached to a table of the caller")
                    row = ", ".join(
                        "ROW('x')" if one == column else f"({HOSTILE.get(type_, ('NULL',))[0]})::{type_}"
                        for one, type_ in columns.items()
                    )
                    session.run(f"INSERT INTO pg_temp.hostile VALUES ({row})")


def _take_steps(dsn: str, walked: Walk) -> None:
    for step in STEPS:
        session = _Session(dsn, walked)
        with session.connection:
            if session.run(step) and _reached(session, step):
                walked.broken.append(f"may run {step}")


def _reached(session: _Session, step: str) -> bool:
    # Ending nobody's session is no success: no row was found.
    if step.startswith("SELECT pg_terminate_backend"):
        return False
    return session.connection.closed == 0


def _read_everything(admin: str, dsn: str, walked: Walk) -> None:
    with psycopg.connect(admin) as connection:
        relations = [row[0] for row in connection.execute(_RELATIONS.encode(), {"schemas": SCHEMAS}).fetchall()]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"SET statement_timeout = '{_SECONDS * 5}s'".encode())
        for relation in relations:
            walked.calls += 1
            try:
                found = connection.execute(f"SELECT t::text FROM {relation} t LIMIT 10000".encode()).fetchall()
            except psycopg.Error:
                continue
            walked.allowed += 1
            if walked.kind == "stranger":
                walked.broken.append(f"may read {relation}")
            elif walked.kind != "reader" and any(SECRET in str(row[0]) for row in found):
                walked.broken.append(f"reads others' rows in {relation}")


def _partitions(admin: str) -> Result:
    with psycopg.connect(admin) as connection:
        [(count,)] = connection.execute(
            "SELECT count(*) FROM pg_class "
            "WHERE relnamespace = '_otel'::regnamespace AND relispartition AND relkind = 'r'"
        ).fetchall()
    return Result(GROUP, "partitions after the walk", f"{count} tables", count < 2000)


def attack(cluster: Cluster) -> list[Result]:
    """Walks a new database of ``cluster`` in which PUBLIC may do what it may do by default."""
    owner = create_database(cluster, "shared")
    migrate(owner)
    return list(walk(owner, database_dsn(cluster, "shared", Login.SUPERUSER)))
