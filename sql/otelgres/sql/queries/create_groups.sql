-- The group roles. The two that readers must not lock out may use reserved connections, if a superuser runs this.
DO $$
DECLARE
    v_role text;
BEGIN
    FOREACH v_role IN ARRAY ARRAY['otelgres_owner', 'otelgres_writer', 'otelgres_reader', 'otelgres_tenant'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = v_role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', v_role);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
            END;
        END IF;
    END LOOP;
    BEGIN
        GRANT pg_use_reserved_connections TO otelgres_owner, otelgres_writer;
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END;
END
$$;
