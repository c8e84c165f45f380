-- Group roles, which nobody logs in with: `otelgres role create` makes logins that are members of one. Roles belong to the
-- whole server, so they may be there already, be made at this moment by the migration of another database, or be beyond
-- the rights of whoever migrates: then they are left out, and made by a later run with more rights.
DO $$
DECLARE
    v_role text;
BEGIN
    FOREACH v_role IN ARRAY ARRAY['otelgres_owner', 'otelgres_writer', 'otelgres_reader', 'otelgres_tenant'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = v_role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', v_role);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN NULL;
                WHEN insufficient_privilege THEN
                    RAISE WARNING 'role % is not there and may not be made by %: let a role with CREATEROLE run CREATE ROLE % NOLOGIN, then migrate again',
                        v_role, current_user, v_role;
            END;
        END IF;
    END LOOP;
END
$$;

-- What receivers that may not change the schema drop by: how long the owner wants rows kept. No row: for ever.
CREATE TABLE _otel.retention (
    table_name text PRIMARY KEY REFERENCES _otel.partitioned (name),
    keep interval NOT NULL
);
