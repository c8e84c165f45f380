"""Functions that run with their owner's rights run no code of their caller, whatever he gives them and wherever.

Each login tries with types, casts, domains, operators, functions, temporary relations, triggers and defaults of its
own. All of them call one function, ``spy``, which tells as whom it runs.
"""

import contextlib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql

from otelgres.collector.embedded import Cluster
from tests import postgres
from tests.sql import rows
from tests.sql.logins import KINDS, logins

OURS = "IN (SELECT oid FROM pg_namespace WHERE nspname IN ('_otel', 'otel', 'compat', 'otel_tenant'))"
# Types of which an argument, or a column that a trigger function of ours would read, may be.
TYPES = (
    "text",
    "uuid",
    "integer",
    "bigint",
    "smallint",
    "timestamptz",
    "interval",
    "jsonb",
    "boolean",
    "bytea",
    "pg_snapshot",
)
REFUSED = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.DataError,
    psycopg.errors.ProgrammingError,
    psycopg.errors.IntegrityError,
    psycopg.errors.RaiseException,
    psycopg.errors.OperationalError,
    psycopg.errors.InternalError_,
    psycopg.errors.NotSupportedError,
)


class Attacker:
    """A session of a login that has everything of its own prepared; ``ran_as`` are the users that ``spy`` ran as."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.login = self.connection.info.user
        self.ran_as: set[str] = set()
        self.connection.add_notice_handler(self._notice)
        self.run(PREPARE)

    def _notice(self, notice: psycopg.errors.Diagnostic) -> None:
        text = notice.message_primary or ""
        if text.startswith("spy "):
            self.ran_as.update(text.split()[1:])

    def run(self, statement: str) -> None:
        self.connection.execute(statement.replace("@", f'"{self.login}"').encode())

    def tries(self, statement: str) -> bool:
        """Whether the statement is allowed."""
        try:
            self.run(statement)
        except REFUSED:
            return False
        return True

    def only_himself(self) -> bool:
        return self.ran_as <= {self.login}


# A type with an implicit cast for each of TYPES is added below.
PREPARE = """
GRANT USAGE ON SCHEMA @ TO PUBLIC;
CREATE FUNCTION @.spy() RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN RAISE NOTICE 'spy % %', current_user, session_user; END $$;
CREATE FUNCTION @.now() RETURNS timestamptz LANGUAGE plpgsql AS
    $$ BEGIN PERFORM @.spy(); RETURN pg_catalog.now(); END $$;
CREATE FUNCTION @.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN PERFORM @.spy(); RETURN 'SELECT @.spy()'; END $$;
CREATE FUNCTION @.leaves(text, integer) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN PERFORM @.spy(); RETURN ''; END $$;
CREATE FUNCTION @.same(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN PERFORM @.spy(); RETURN true; END $$;
CREATE OPERATOR @.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = @.same);
CREATE FUNCTION @.later(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN PERFORM @.spy(); RETURN true; END $$;
CREATE OPERATOR @.< (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = @.later);
CREATE OPERATOR @.> (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = @.later);
CREATE FUNCTION @.row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM @.spy(); RETURN NEW; END $$;
CREATE FUNCTION @.fill() RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM @.spy(); RETURN NULL; END $$;
"""
TYPE = """
CREATE TYPE @.t_{type} AS (x text);
CREATE FUNCTION @.cast_{type}(@.t_{type}) RETURNS {type} LANGUAGE plpgsql AS
    $$ BEGIN PERFORM @.spy(); RETURN ($1).x::{type}; END $$;
CREATE CAST (@.t_{type} AS {type}) WITH FUNCTION @.cast_{type} AS IMPLICIT;
CREATE FUNCTION @.check_{type}({type}) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN PERFORM @.spy(); RETURN true; END $$;
CREATE DOMAIN @.d_{type} AS {type} CHECK (@.check_{type}(VALUE));
"""
SHADOW = """
CREATE TEMP TABLE "{name}" (hour timestamptz, name text DEFAULT @.fill(), keep interval, table_name text,
    stride interval, storage text, until timestamptz, role_name name, tenant text);
CREATE TRIGGER t BEFORE INSERT OR UPDATE ON pg_temp."{name}" FOR EACH ROW EXECUTE FUNCTION @.row();
"""


@pytest.fixture(scope="module")
def attacked(cluster: Cluster, migrated: str) -> Iterator[str]:
    with postgres.new_database(cluster, migrated) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            # Rows of every kind, so that the functions have something to do.
            now = datetime.now(UTC)
            start = rows.unix_nano(now) - 3 * 3600 * 10**9
            rows.insert(connection, [rows.Span(trace=uuid.UUID(int=1), start=start, end=start + 5)])
            connection.execute("INSERT INTO _otel.retention VALUES ('spans', '30 days')")
        yield dsn


@pytest.fixture(scope="module")
def attackers(attacked: str) -> Iterator[dict[str, Attacker]]:
    with logins(attacked) as dsns:
        found = {kind: Attacker(dsn) for kind, dsn in dsns.items()}
        for attacker in found.values():
            for kind in TYPES:
                attacker.run(TYPE.format(type=kind))
        yield found
        for attacker in found.values():
            attacker.connection.close()


@pytest.fixture(params=KINDS)
def attacker(request: pytest.FixtureRequest, attackers: dict[str, Attacker]) -> Attacker:
    found = attackers[request.param]
    found.ran_as.clear()
    return found


@pytest.fixture(scope="module")
def functions(attacked: str) -> list[tuple[str, list[str], bool]]:
    """All functions of ours that run with their owner's rights: name, types of the arguments, whether for triggers."""
    with psycopg.connect(attacked) as connection:
        found = connection.execute(
            "SELECT format('%I.%I', n.nspname, p.proname), "
            "ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS u (t, i) ORDER BY i), "
            "p.prorettype = 'trigger'::regtype FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
            f"WHERE p.pronamespace {OURS} AND p.prosecdef ORDER BY 1".encode()
        ).fetchall()
    assert len(found) > 10
    return found


VALUES = {
    "text": "spans", "uuid": "00000000-0000-0000-0000-000000000001", "integer": "1",
    "bigint": "1", "timestamp with time zone": "now", "interval": "1 hour", "boolean": "true", "pg_snapshot": "1:1:",
    "jsonb": '[{"name": "x"}]',
}  # fmt: skip
# The row of a span; the other columns are 1.
SPAN = {
    "start_time": "now", "trace_id": "00000000-0000-0000-0000-000000000001", "attributes": "{}", "events": "[]",
    "links": "[]", "repaired": "{}", "received_at": "now", "span_id": "\\x01", "parent_span_id": "\\x02",
}  # fmt: skip
SHORT = {"timestamp with time zone": "timestamptz"}


def arguments(types: list[str], form: str) -> str:
    """Arguments of the attacker's own types, where there are some."""
    given = []
    for kind in types:
        short = SHORT.get(kind, kind)
        value = VALUES[kind]
        if form == "plain" or short not in TYPES:
            given.append(f"'{value}'::{short}")
        elif form == "domain":
            given.append(f"'{value}'::@.d_{short}")
        else:
            given.append(f"ROW('{value}')::@.t_{short}")
    return ", ".join(given)


@pytest.mark.parametrize("form", ["plain", "domain", "cast"])
def test_arguments_are_the_callers_and_run_as_the_caller(
    attacker: Attacker, functions: list[tuple[str, list[str], bool]], form: str
) -> None:
    for path in ("pg_catalog, pg_temp", "@, pg_temp, pg_catalog", "pg_temp, @"):
        attacker.run(f"SET search_path = {path}")
        for name, types, _ in functions:
            attacker.tries(f"SELECT {name}({arguments(types, form)})")
            attacker.tries(f"SELECT * FROM {name}({arguments(types, form)})")
    attacker.run("RESET search_path")
    if attacker.login.endswith("_writer") and form != "plain":
        assert attacker.ran_as, "the spy works"
    assert attacker.only_himself()


def test_temporary_relations_shadow_nothing(
    attacker: Attacker, attacked: str, functions: list[tuple[str, list[str], bool]]
) -> None:
    with psycopg.connect(attacked) as connection:
        names = [
            row[0]
            for row in connection.execute(
                f"SELECT relname FROM pg_class WHERE relnamespace {OURS} AND relkind IN ('r', 'p', 'v') "
                "UNION VALUES ('pg_class'), ('pg_index'), ('pg_attribute'), ('pg_inherits'), ('pg_roles')".encode()
            )
        ]
    attacker.run("BEGIN; SET LOCAL search_path = pg_temp, @, pg_catalog")
    for name in names:
        attacker.run(SHADOW.format(name=name))
    attacker.run("INSERT INTO pg_temp.spans (name) VALUES (DEFAULT)")
    assert attacker.ran_as == {attacker.login}, "the spy works"
    for name, types, _ in functions:
        with contextlib.suppress(*REFUSED), attacker.connection.transaction():
            attacker.run(f"SELECT {name}({arguments(types, 'plain')})")
    attacker.run("ROLLBACK")
    assert attacker.only_himself()


def test_our_trigger_functions_cannot_be_used_by_others(
    attacker: Attacker, attacked: str, functions: list[tuple[str, list[str], bool]]
) -> None:
    """A table whose columns' types have casts to the attacker's functions, with our trigger function as its trigger."""
    with psycopg.connect(attacked) as connection:
        columns: dict[str, str] = dict(
            connection.execute(
                "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute "
                "WHERE attrelid = '_otel.spans'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"
            ).fetchall()
        )
    triggers = [name for name, _, is_trigger in functions if is_trigger]
    assert triggers == ["_otel.roll_up_spans"]
    ran: list[str] = []
    allowed = False
    for name in triggers:
        # One column at a time: an error of one must not save the others.
        for evil in columns:
            kinds = {column: SHORT.get(kind, kind) for column, kind in columns.items()}
            values = {column: f"'{SPAN.get(column, '1')}'" for column in columns}
            values[evil] = f"ROW({values[evil]})::@.t_{kinds[evil]}"
            kinds[evil] = f"@.t_{kinds[evil]}"
            attacker.run("DROP TABLE IF EXISTS pg_temp.new_rows")
            attacker.run(f"CREATE TEMP TABLE new_rows ({', '.join(f'{c} {kind}' for c, kind in kinds.items())})")
            made = attacker.tries(
                "CREATE TRIGGER t AFTER INSERT ON pg_temp.new_rows REFERENCING NEW TABLE AS new_spans "
                f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
            )
            attacker.tries(f"INSERT INTO pg_temp.new_rows VALUES ({', '.join(values.values())})")
            if not attacker.only_himself():
                ran.append(evil)
                attacker.ran_as.clear()
            allowed |= made
    assert (ran, allowed) == ([], False)


def test_rows_that_are_inserted_are_values_when_our_trigger_sees_them(attackers: dict[str, Attacker]) -> None:
    writer = attackers["writer"]
    writer.ran_as.clear()
    writer.run("SELECT _otel.make_partition(t, now()) FROM unnest(ARRAY['spans', 'flow_parts', 'span_stats']) t")
    writer.run(
        "INSERT INTO _otel.spans (start_time, start_time_unix_nano, end_time_unix_nano, trace_id, resource_id, "
        "scope_id, flags, kind, dropped_attributes_count, dropped_events_count, dropped_links_count, span_id, name) "
        "SELECT ROW('now')::@.t_timestamptz, ROW('1')::@.t_bigint, 1, gen_random_uuid()::@.d_uuid, 1, 1, 0, 0, 0, 0, "
        "0, '\\x01'::@.d_bytea, 'x'::@.d_text"
    )
    assert writer.ran_as == {writer.login}


def test_an_owners_function_tells_as_whom_it_runs(attacked: str, attackers: dict[str, Attacker]) -> None:
    """The spy would be found out: in a function of the owner that does what none of ours may do."""
    writer = attackers["writer"]
    writer.ran_as.clear()
    with psycopg.connect(attacked, autocommit=True) as connection:
        schema = sql.Identifier(writer.login)
        connection.execute(
            sql.SQL(
                "CREATE FUNCTION public.careless() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'SELECT {}.spy()'; "
                "GRANT EXECUTE ON FUNCTION public.careless() TO PUBLIC"
            ).format(schema)
        )
        writer.run("SELECT public.careless()")
        connection.execute("DROP FUNCTION public.careless()")
    assert not writer.only_himself()
