"""Every right on every object of ours is one that was written down, whoever migrates, and whatever is made later."""

from datetime import UTC, datetime

import psycopg

from otelgres.collector.embedded.logins import Login
from otelgres.sql.migrate import migrate
from tests.postgres import as_login
from tests.sql import privileges, rows
from tests.sql.rows import Connection

WRITE = "look at the difference, then `.venv/bin/python -m tests.sql.privileges` writes the file"
AGAIN = "UPDATE _otel.repeatable_migrations SET checksum = 'older'"


def test_the_rights_are_those_that_are_written_down(connection: Connection) -> None:
    assert privileges.owners(connection) == {"otelgres_owner"}
    assert privileges.table(connection) == privileges.FILE.read_text(encoding="utf-8"), WRITE


def test_they_are_the_same_if_no_superuser_migrates(empty_database: str) -> None:
    with psycopg.connect(as_login(empty_database, Login.SUPERUSER), autocommit=True) as connection:
        connection.execute("CREATE ROLE plain_migrator LOGIN")
        try:
            name = connection.info.dbname
            connection.execute(f"GRANT CREATE ON DATABASE {name} TO plain_migrator".encode())
            migrate(as_login(empty_database, "plain_migrator"))
            assert privileges.owners(connection) == {"plain_migrator"}
            assert privileges.table(connection) == privileges.FILE.read_text(encoding="utf-8")
        finally:
            connection.execute("DROP OWNED BY plain_migrator CASCADE; DROP ROLE plain_migrator")


def test_rights_that_are_no_longer_granted_are_taken(connection: Connection, database: str) -> None:
    connection.execute("GRANT SELECT ON _otel.spans, _otel.logs TO otelgres_writer, PUBLIC")
    connection.execute("GRANT UPDATE (name) ON _otel.scopes TO otelgres_reader")
    connection.execute(
        "GRANT EXECUTE ON FUNCTION _otel.drop_partitions, _otel.roll_up_spans TO PUBLIC, otelgres_tenant"
    )
    connection.execute("GRANT USAGE ON TYPE _otel.checkpoint TO PUBLIC")
    connection.execute(AGAIN)
    migrate(database)
    assert privileges.table(connection) == privileges.FILE.read_text(encoding="utf-8")


def test_what_is_made_later_has_no_other_rights(connection: Connection) -> None:
    rows.make_partitions(connection, [datetime.now(UTC)], *rows.SPAN_TABLES, "logs")
    connection.execute("SELECT compat.make_logs_view('later')")
    connection.execute("SELECT compat.map_column('sync_operations', 'more', 'more')")
    written = privileges.FILE.read_text(encoding="utf-8").splitlines()
    found = privileges.table(connection).splitlines()
    assert [line for line in found if line not in written] == ["compat.later_logs  otelgres_reader: SELECT"]
    granted = connection.execute(
        "SELECT c.oid::regclass FROM pg_class c WHERE c.relispartition AND c.relacl IS NOT NULL "
        "AND EXISTS (SELECT FROM aclexplode(c.relacl) g WHERE g.grantee <> c.relowner)"
    ).fetchall()
    assert granted == []
