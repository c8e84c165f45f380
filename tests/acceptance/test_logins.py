"""Nobody of ours is a superuser: what `up` logs in as, and what a superuser's DSN may be used for."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from otelgres.collector.cli.serving import recent_flows
from otelgres.collector.embedded import Cluster, Login, running_dsn
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Unavailable
from otelgres.exporters.postgres.writer import PostgresWriter
from otelgres.sql.migrate import migrate
from tests import postgres
from tests.acceptance.receiver_process import invoke, rows, send_span, serve, up
from tests.waiting import TIMEOUT, until

SPAN = "00000000000000b1"
OURS = (Login.OWNER, Login.WRITER, Login.READER)
FOREIGN = """
SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE nspname IN ('_otel', 'otel', 'compat', 'otel_tenant') AND relkind IN ('r', 'p', 'v')
    AND pg_get_userbyid(relowner) <> 'otelgres_owner'
UNION ALL
SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE nspname IN ('_otel', 'otel', 'compat', 'otel_tenant') AND pg_get_userbyid(proowner) <> 'otelgres_owner'
UNION ALL
SELECT nspname FROM pg_namespace
WHERE nspname IN ('_otel', 'otel', 'compat', 'otel_tenant') AND pg_get_userbyid(nspowner) <> 'otelgres_owner'
"""


@pytest.fixture
def data(made_data: Path) -> Iterator[Path]:
    """A data folder with our schema whose server logs who connects."""
    with postgres.temporary_data() as folder:
        postgres.copy_data(made_data, folder / "data")
        with (folder / "data" / "postgres" / "local.conf").open("a") as file:
            file.write("log_connections = on\nlog_min_messages = log\n")
        yield folder / "data"


def logged_in(data: Path) -> set[str]:
    """The users of all connections that the server has accepted."""
    logs = "".join(path.read_text() for path in (data / "postgres" / "log").glob("*.log"))
    return set(re.findall(r"connection authorized: user=(\S+)", logs))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_up_uses_three_logins_and_no_superuser(data: Path, workers: str) -> None:
    with up(data, "--workers", workers) as process:
        ready = process.ready()
        assert ready["dsn"] == running_dsn(data, Login.READER)
        assert send_span(ready["http"], SPAN) == 200
        assert rows(ready["dsn"], "SELECT span_id FROM otel.spans") == [{"span_id": SPAN}]
        until(lambda: rows(ready["dsn"], "SELECT FROM otel.receivers"), "the receiver's own numbers")
        for command in (("status",), ("query", "SELECT 1"), ("alerts", "--all"), ("flow", "latest")):
            invoke(*command, "--data", str(data))
        assert invoke("alerts", "--set", "losses=7", "--data", str(data)).returncode == 0
        made = invoke("role", "create", "grafana", "--kind", "reader", "--data", str(data))
        assert made.returncode == 0, made.stderr
        made = invoke("role", "create", "shop", "--kind", "tenant", "--tenant", "shop", "--data", str(data))
        assert made.returncode == 0, made.stderr
        assert invoke("diagnose", "--data", str(data)).returncode == 0
        owner = running_dsn(data, Login.OWNER)
        assert owner is not None
        # Only an owner may set it.
        assert rows(owner, "SELECT FROM _otel.retention") != []
        assert process.stop() == 0, process.errors
    assert logged_in(data) == {login.user for login in OURS}


def test_a_new_data_folder_needs_the_superuser_once(postgres_version: str) -> None:
    with postgres.temporary_data() as folder:
        cluster = Cluster(folder / "data", version=postgres_version, more={"log_connections": "on"})
        with cluster:
            assert "postgres" in logged_in(folder / "data")
        for log in (folder / "data" / "postgres" / "log").iterdir():
            log.write_text("")
        with cluster:
            assert logged_in(folder / "data") == {Login.OWNER.user}


@pytest.mark.parametrize("login", OURS)
def test_a_login_of_ours_cannot_become_more(cluster: Cluster, login: Login) -> None:
    with psycopg.connect(cluster.dsn(login), autocommit=True) as connection:
        current = connection.execute("SELECT session_user, current_user").fetchone()
        assert current == (login.user, "otelgres_owner" if login is Login.OWNER else login.user)
        for statement in ("RESET ROLE", "SET ROLE NONE", "RESET SESSION AUTHORIZATION"):
            connection.execute(statement.encode())
            assert connection.execute("SHOW is_superuser").fetchone() == ("off",)
        connection.execute("SET default_transaction_read_only = off")
        for statement in (
            "SET ROLE postgres",
            "SET SESSION AUTHORIZATION postgres",
            f"ALTER ROLE {login.user} SUPERUSER",
            "CREATE ROLE more SUPERUSER",
            f"GRANT postgres TO {login.user}",
            f"GRANT pg_execute_server_program TO {login.user}",
            "COPY (SELECT 1) TO PROGRAM 'true'",
            "COPY (SELECT 1) TO '/tmp/otelgres'",
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT lo_create(0)",
            "SELECT pg_logical_emit_message(false, 'x', 'x')",
            "ALTER SYSTEM SET fsync = off",
            "CREATE EXTENSION IF NOT EXISTS file_fdw",
            f"COMMENT ON ROLE {Login.OWNER.user} IS 'otelgres set-up 99'",
        ):
            with pytest.raises((InsufficientPrivilege, psycopg.errors.FeatureNotSupported)):
                connection.execute(statement.encode())
        if login is Login.READER:
            with pytest.raises(InsufficientPrivilege):
                connection.execute("CREATE TEMP TABLE t (n int)")


def test_readers_do_not_lock_owner_and_writer_out(postgres_version: str) -> None:
    few = {"max_connections": "16", "reserved_connections": "4", "superuser_reserved_connections": "1"}
    with postgres.fast_cluster(postgres_version, **few) as cluster:
        held: list[psycopg.Connection[tuple[object, ...]]] = []
        try:
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    held.append(psycopg.connect(cluster.dsn(Login.READER)))
            assert 0 < len(held) <= 11
            psycopg.connect(cluster.dsn(Login.WRITER)).close()
            psycopg.connect(cluster.dsn(Login.OWNER)).close()
        finally:
            for connection in held:
                connection.close()


@pytest.fixture(scope="module")
def server(postgres_version: str) -> Iterator[Cluster]:
    """A server of the module's own: roles belong to the whole server."""
    with postgres.fast_cluster(postgres_version) as running:
        with psycopg.connect(running.dsn(Login.SUPERUSER), autocommit=True) as connection:
            connection.execute("CREATE ROLE member LOGIN IN ROLE postgres")
            connection.execute("CREATE ROLE half LOGIN NOINHERIT IN ROLE member")
            connection.execute("CREATE ROLE shell LOGIN IN ROLE pg_execute_server_program")
            connection.execute("CREATE ROLE files LOGIN IN ROLE pg_write_server_files")
        yield running


def as_user(cluster: Cluster, name: str, user: str) -> str:
    return cluster.dsn(Login.SUPERUSER, name).replace("//postgres", f"//{user}", 1)


@pytest.mark.parametrize("user", ["postgres", "member", "half", "shell", "files"])
def test_a_writer_with_the_rights_of_a_superuser_stores_nothing(server: Cluster, user: str) -> None:
    for options in ("", "&options=-crole%3Dotelgres_owner"):
        if options and user != "postgres":
            continue
        with postgres.new_database(server) as dsn:
            migrate(dsn)
            name = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
            writer = PostgresWriter(as_user(server, name, user) + options)
            (outcome,) = writer.write([Batch(Signal.TRACES, b"\x0a\x00")])
            assert isinstance(outcome, Unavailable)
            assert "otelgres role create" in writer.problem
            writer.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_refuses_a_superuser_and_says_what_to_do(server: Cluster, tmp_path: Path, workers: str) -> None:
    name = "refused" + workers
    postgres.create_database(server, name)
    with serve(as_user(server, name, "postgres"), str(tmp_path), "--workers", workers) as process:
        assert process.process.wait(TIMEOUT) == 1
        assert "postgres is a superuser of PostgreSQL" in process.errors
        for command in ("otelgres role create", "otelgres migrate", "otelgres serve"):
            assert command in process.errors
        assert "Traceback" not in process.errors
    with psycopg.connect(as_user(server, name, "postgres")) as connection:
        assert connection.execute("SELECT to_regnamespace('_otel')").fetchone() == (None,)


def test_serve_refuses_a_superuser_when_the_database_comes_later(made_data: Path, tmp_path: Path) -> None:
    with postgres.temporary_data() as folder:
        postgres.copy_data(made_data, folder / "data")
        cluster = Cluster(folder / "data")
        cluster.start()
        dsn, owner = cluster.dsn(Login.SUPERUSER), cluster.dsn(Login.OWNER)
        cluster.stop()
        port = "127.0.0.1:0"
        with serve(dsn, str(tmp_path / "spool"), "--http", port) as process:
            until(lambda: "the database is not ready" in process.errors, "a receiver that waits")
            with cluster:
                assert process.process.wait(TIMEOUT) == 1
                assert "postgres is a superuser of PostgreSQL" in process.errors
                assert rows(owner, "SELECT FROM otel.receivers") == []


def test_a_superuser_creates_the_schema_for_the_owner_and_does_nothing_later(server: Cluster) -> None:
    postgres.create_database(server, "created")
    superuser = as_user(server, "created", "postgres")
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("ALTER DATABASE created OWNER TO postgres")
    done = invoke("migrate", OTELGRES_DSN=superuser)
    assert done.returncode == 0, done.stderr
    assert rows(superuser, FOREIGN) == []
    for arguments in ((), ("--check-only",), ("--force", "--yes")):
        again = invoke("migrate", *arguments, OTELGRES_DSN=superuser)
        assert again.returncode == 1
        assert "otelgres role create" in again.stderr
    done = invoke("role", "create", "admin", "--kind", "owner", "--create-roles", OTELGRES_DSN=superuser)
    assert done.returncode == 0, done.stderr
    admin = as_user(server, "created", "admin")
    assert invoke("migrate", OTELGRES_DSN=admin).stdout.strip() == "up to date"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("CREATE TABLE _otel.mine (n int)")
    assert rows(superuser, FOREIGN) == []
    for kind in (("reader",), ("writer",), ("owner", "--create-roles"), ("tenant", "--tenant", "t")):
        done = invoke("role", "create", "made", "--kind", *kind, OTELGRES_DSN=admin)
        assert done.returncode == 0, done.stderr
        groups = rows(
            superuser,
            "SELECT roleid::regrole::text AS name FROM pg_auth_members WHERE member = 'made'::regrole ORDER BY 1",
        )
        mine = [f"otelgres_{kind[0]}"]
        all_four = ["otelgres_owner", "otelgres_reader", "otelgres_tenant", "otelgres_writer"]
        assert [row["name"] for row in groups] == (all_four if kind[0] == "owner" else mine)
    refused = invoke("role", "create", "x", "--kind", "tenant", "--tenant", "t", OTELGRES_DSN=superuser)
    assert refused.returncode == 1
    assert "must not write to the tables" in refused.stderr


def test_a_schema_of_a_superuser_is_given_to_the_owner(server: Cluster) -> None:
    owner = postgres.create_database(server, "old")
    migrate(owner)
    superuser = as_user(server, "old", "postgres")
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("REASSIGN OWNED BY otelgres_owner TO postgres")
    assert rows(superuser, FOREIGN) != []
    done = invoke("migrate", OTELGRES_DSN=superuser)
    assert done.returncode == 1
    assert "belongs to otelgres_owner now" in done.stderr
    assert rows(superuser, FOREIGN) == []
    assert migrate(owner) == []


def test_the_data_folder_of_an_earlier_version_gets_the_logins(made_data: Path) -> None:
    with postgres.temporary_data() as folder:
        postgres.copy_data(made_data, folder / "data")
        with Cluster(folder / "data") as cluster:
            superuser = cluster.dsn(Login.SUPERUSER)
            with psycopg.connect(superuser, autocommit=True) as connection:
                # As it was: everything is the superuser's, and there are no logins.
                connection.execute("REASSIGN OWNED BY otelgres_owner TO postgres")
                connection.execute("GRANT ALL ON DATABASE otelgres TO PUBLIC")
            with psycopg.connect(cluster.dsn(Login.SUPERUSER, "postgres"), autocommit=True) as connection:
                connection.execute("ALTER DATABASE otelgres OWNER TO postgres")
                for login in OURS:
                    connection.execute(f"DROP OWNED BY {login.user}; DROP ROLE {login.user}".encode())
        with up(folder / "data") as process:
            ready = process.ready()
            assert send_span(ready["http"], SPAN) == 200
            assert rows(ready["dsn"], "SELECT span_id FROM otel.spans") == [{"span_id": SPAN}]
            assert rows(ready["dsn"], FOREIGN) == []
            may = "SELECT has_database_privilege('TEMPORARY') AS temporary"
            assert rows(ready["dsn"], may.replace("(", "(current_database(), ")) == [{"temporary": False}]
            assert process.stop() == 0, process.errors


def test_reading_as_superuser_works_with_a_warning(server: Cluster) -> None:
    migrate(postgres.create_database(server, "read"))
    dsn = as_user(server, "read", "postgres")
    for command in (("status", "--json"), ("query", "SELECT 1"), ("report", "runs")):
        done = invoke(*command, OTELGRES_DSN=dsn)
        assert done.stderr.count("is a superuser of PostgreSQL") == 1, done.stderr
        assert "superuser" not in done.stdout
        done = invoke(*command, OTELGRES_DSN=postgres.as_login(dsn, Login.READER))
        assert done.stderr == ""


def test_the_live_view_shows_no_flows_to_a_login_that_may_not_read_them(cluster: Cluster, migrated: str) -> None:
    with postgres.new_database(cluster, migrated) as owner:
        assert recent_flows(owner) == []
        assert recent_flows(postgres.as_login(owner, Login.READER)) == []
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute("REVOKE SELECT ON otel.flows FROM otelgres_writer")
        assert recent_flows(postgres.as_login(owner, Login.WRITER)) is None


HOSTILE = """
CREATE SCHEMA evil;
CREATE TABLE evil.seen (who text);
GRANT ALL ON SCHEMA evil TO PUBLIC;
GRANT ALL ON evil.seen TO PUBLIC;
CREATE FUNCTION evil.saw() RETURNS boolean LANGUAGE sql AS
    $$ INSERT INTO evil.seen SELECT session_user RETURNING true $$;
CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS
    $$ SELECT evil.saw(); SELECT pg_catalog.set_config($1, $2, $3) $$;
CREATE FUNCTION evil.pg_has_role(name, oid, text) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.saw(); SELECT false $$;
CREATE FUNCTION evil.to_regclass(text) RETURNS regclass LANGUAGE sql AS $$ SELECT evil.saw(); SELECT NULL::regclass $$;
CREATE FUNCTION evil.current_database() RETURNS name LANGUAGE sql AS $$ SELECT evil.saw(); SELECT 'x'::name $$;
CREATE FUNCTION evil.same(name, name) RETURNS boolean LANGUAGE sql AS
    $$ SELECT evil.saw(); SELECT $1 OPERATOR(pg_catalog.=) $2 $$;
CREATE FUNCTION evil.same(name, text) RETURNS boolean LANGUAGE sql AS
    $$ SELECT evil.saw(); SELECT $1 OPERATOR(pg_catalog.=) $2 $$;
CREATE FUNCTION evil.same(text, text) RETURNS boolean LANGUAGE sql AS
    $$ SELECT evil.saw(); SELECT $1 OPERATOR(pg_catalog.=) $2 $$;
CREATE FUNCTION evil.same(oid, oid) RETURNS boolean LANGUAGE sql AS
    $$ SELECT evil.saw(); SELECT $1 OPERATOR(pg_catalog.=) $2 $$;
CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.same);
CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = text, FUNCTION = evil.same);
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.same);
CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.same);
CREATE VIEW evil.pg_roles AS SELECT r.*, evil.saw() FROM pg_catalog.pg_roles r;
CREATE VIEW evil.pg_namespace AS SELECT n.*, evil.saw() FROM pg_catalog.pg_namespace n;
CREATE FUNCTION evil.planted() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO evil.seen SELECT session_user; RETURN NULL; END $$;
"""


def test_no_session_of_a_superuser_runs_what_an_owner_has_planted(server: Cluster, tmp_path: Path) -> None:
    owner = postgres.create_database(server, "hostile")
    migrate(owner)
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(HOSTILE.encode())
        connection.execute("ALTER DATABASE hostile SET search_path = evil, pg_catalog")
        for table in rows(
            owner,
            "SELECT oid::regclass::text AS name FROM pg_class "
            "WHERE relnamespace = '_otel'::regnamespace AND relkind = 'r' AND NOT relispartition",
        ):
            connection.execute(
                f"CREATE TRIGGER planted BEFORE INSERT OR UPDATE OR DELETE ON {table['name']} "
                "FOR EACH STATEMENT EXECUTE FUNCTION evil.planted()".encode()
            )
        connection.execute(
            "CREATE OR REPLACE FUNCTION _otel.grant_rights() RETURNS void LANGUAGE sql AS "
            "$$ INSERT INTO evil.seen SELECT session_user $$"
        )
        connection.execute("DELETE FROM evil.seen")
    superuser = as_user(server, "hostile", "postgres")
    writer = PostgresWriter(superuser)
    writer.write([Batch(Signal.TRACES, b"\x0a\x00")])
    writer.close()
    assert invoke("migrate", OTELGRES_DSN=superuser).returncode == 1
    for kind in ("owner", "writer", "reader"):
        done = invoke("role", "create", "planted", "--kind", kind, OTELGRES_DSN=superuser)
        assert done.returncode == 0, done.stderr
    assert invoke("role", "create", "p", "--kind", "tenant", "--tenant", "t", OTELGRES_DSN=superuser).returncode == 1
    assert invoke("alerts", "--set", "losses=1", OTELGRES_DSN=superuser).returncode == 1
    with serve(superuser, str(tmp_path)) as process:
        assert process.process.wait(TIMEOUT) == 1
    with psycopg.connect(as_user(server, "hostile", "postgres"), options="-c search_path=pg_catalog") as connection:
        assert connection.execute("SELECT DISTINCT who FROM evil.seen").fetchall() == []
