"""What a login that wants more than its rights hands to the database: traps, arguments and statements."""

from typing import Final

# What makes a caller's code run inside of somebody else's: casts, operators, defaults, functions that shadow others.
TRAPS: Final = """
CREATE TYPE pg_temp.evil AS (word text);
CREATE FUNCTION pg_temp.trap() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'TRAP % %', current_user, session_user;
    RETURN '1';
END $$;
"""
CASTS: Final = {
    "text": "pg_temp.trap()",
    "timestamp with time zone": "(SELECT now() FROM (SELECT pg_temp.trap()) t)",
    "bigint": "pg_temp.trap()::bigint",
    "integer": "pg_temp.trap()::integer",
    "smallint": "pg_temp.trap()::smallint",
    "uuid": "(SELECT gen_random_uuid() FROM (SELECT pg_temp.trap()) t)",
    "interval": "(SELECT interval '1 day' FROM (SELECT pg_temp.trap()) t)",
    "jsonb": "to_jsonb(pg_temp.trap())",
    "bytea": "pg_temp.trap()::bytea",
    "numeric": "pg_temp.trap()::numeric",
    "double precision": "pg_temp.trap()::double precision",
    "boolean": "pg_temp.trap()::boolean",
    "name": "pg_temp.trap()::name",
}
SHADOWS: Final = (
    "now()",
    "count(text)",
    "min(text)",
    "date_bin(interval, timestamptz, timestamptz)",
    "lower(text)",
    "md5(text)",
    "format(text, text)",
    "to_regclass(text)",
    "current_tenant()",
    "quote_ident(text)",
)

HOSTILE: Final[dict[str, tuple[str, ...]]] = {
    "text": ("'spans'", "'''; DROP TABLE _otel.spans; --'", "'%s %I %L'", "'_otel.spans'", "'pg_catalog.pg_authid'",
             "repeat('x', 100000)", "''", "'(SELECT pg_temp.trap())'"),
    "timestamp with time zone": ("now()", "'infinity'", "'-infinity'", "'1990-01-01'", "'9999-01-01'",
                                 "'4713-01-01 BC'"),
    "interval": ("'1 day'", "'100 years'", "'-100 years'", "'0'", "'178000000 years'", "'-10 minutes'"),
    "integer": ("1", "0", "-1", "2147483647", "-2147483648"),
    "bigint": ("1", "-1", "9223372036854775807", "-9223372036854775808"),
    "smallint": ("1", "-32768"),
    "uuid": ("gen_random_uuid()",),
    "jsonb": ("'{}'", "'[]'", """'{"a": {"b": [null, "x"]}}'""", "'null'"),
    "boolean": ("true", "false"),
    "double precision": ("0", "'NaN'", "'Infinity'", "-1"),
    "numeric": ("0", "'NaN'"),
    "text[]": ("'{}'", "'{a,b}'", "array_fill('x'::text, ARRAY[1000])"),
    "bytea": ("''", "'\\x00'"),
    "pg_snapshot": ("pg_current_snapshot()",),
    "name": ("'spans'", "'pg_authid'"),
    "regclass": ("'pg_class'",),
}  # fmt: skip

# Each of these takes more than what a login of ours is for; whoever may run one has broken out.
STEPS: Final = (
    "SET ROLE otelgres_owner",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "SELECT set_config('role', 'otelgres_owner', false)",
    "SELECT set_config('session_authorization', 'postgres', false)",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/otelgres-attack'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/otelgres-attack')",
    "ALTER SYSTEM SET work_mem = '64kB'",
    "CREATE ROLE intruder",
    "CREATE DATABASE intruder",
    "CREATE EXTENSION vector",
    "CREATE SCHEMA intruder",
    "CREATE TABLE otel.intruder (a int)",
    "CREATE TABLE _otel.intruder (a int)",
    "CREATE VIEW compat.intruder AS SELECT 1",
    "CREATE FUNCTION otel.intruder() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TRIGGER intruder AFTER INSERT ON _otel.spans EXECUTE FUNCTION _otel.roll_up_spans()",
    "CREATE EVENT TRIGGER intruder ON ddl_command_end EXECUTE FUNCTION _otel.roll_up_spans()",
    "ALTER TABLE _otel.spans DISABLE TRIGGER ALL",
    "SET session_replication_role = replica",
    "TRUNCATE _otel.spans",
    "DELETE FROM _otel.spans",
    "UPDATE _otel.spans SET name = 'x'",
    "DELETE FROM _otel.receivers",
    "DELETE FROM _otel.digests",
    "DELETE FROM _otel.losses",
    "DROP VIEW otel.flows",
    "GRANT otelgres_owner TO CURRENT_USER",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "UPDATE _otel.tenants SET tenant = 'b'",
    "INSERT INTO _otel.tenants VALUES (CURRENT_USER, 'b')",
    "INSERT INTO _otel.retention VALUES ('spans', '1 second')",
    "SELECT _otel.drop_partitions('spans', 'infinity')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres' LIMIT 1",
    "SELECT pg_reload_conf()",
    "SELECT rolpassword FROM pg_authid",
)
