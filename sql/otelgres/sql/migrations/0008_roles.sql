-- Group roles without login: `otelgres role create` creates logins that are members of one. Roles belong to the whole
-- server: they may exist, or be created at the same time by the migration of another database. If the migrating role
-- may not create them, they are omitted; a later run with more rights creates them.
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
                    RAISE WARNING 'role % is missing and % may not create it: run CREATE ROLE % NOLOGIN as a role with CREATEROLE, then migrate again',
                        v_role, current_user, v_role;
            END;
        END IF;
    END LOOP;
END
$$;

-- How long rows are kept, set by the owner; used by receivers that may not change the schema. No row: for ever.
CREATE TABLE _otel.retention (
    table_name text PRIMARY KEY REFERENCES _otel.partitioned (name),
    keep interval NOT NULL
);
