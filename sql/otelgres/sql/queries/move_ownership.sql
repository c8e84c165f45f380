-- As a superuser: makes otelgres_owner the owner of all objects in the schemas of otelgres. ALTER … OWNER runs nothing
-- that a previous owner may have attached to them.
DO $$
DECLARE
    v_line text;
    v_owned CONSTANT oid[] := ARRAY(
        SELECT oid FROM pg_catalog.pg_namespace WHERE nspname IN ('_otel', 'otel', 'compat', 'otel_tenant'));
BEGIN
    FOR v_line IN
        SELECT format('ALTER SCHEMA %I OWNER TO otelgres_owner', n.nspname) FROM pg_catalog.pg_namespace n
        WHERE n.oid = ANY (v_owned) AND pg_get_userbyid(n.nspowner) <> 'otelgres_owner'
        UNION ALL
        SELECT format('ALTER TABLE %s OWNER TO otelgres_owner', c.oid::regclass) FROM pg_catalog.pg_class c
        WHERE c.relnamespace = ANY (v_owned) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
            AND pg_get_userbyid(c.relowner) <> 'otelgres_owner'
        UNION ALL
        SELECT format('ALTER SEQUENCE %s OWNER TO otelgres_owner', c.oid::regclass) FROM pg_catalog.pg_class c
        WHERE c.relnamespace = ANY (v_owned) AND c.relkind = 'S'
            AND pg_get_userbyid(c.relowner) <> 'otelgres_owner'
            -- The sequence of a column moves with its table.
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i'))
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO otelgres_owner', p.oid::regprocedure) FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = ANY (v_owned) AND p.prokind <> 'a'
            AND pg_get_userbyid(p.proowner) <> 'otelgres_owner'
        UNION ALL
        SELECT format('ALTER AGGREGATE %s OWNER TO otelgres_owner', p.oid::regprocedure) FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = ANY (v_owned) AND p.prokind = 'a'
            AND pg_get_userbyid(p.proowner) <> 'otelgres_owner'
        UNION ALL
        SELECT format('ALTER TYPE %s OWNER TO otelgres_owner', t.oid::regtype) FROM pg_catalog.pg_type t
        LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
        WHERE t.typnamespace = ANY (v_owned) AND t.typtype IN ('c', 'd', 'e') AND coalesce(c.relkind, 'c') = 'c'
            AND pg_get_userbyid(t.typowner) <> 'otelgres_owner'
    LOOP
        EXECUTE v_line;
    END LOOP;
END
$$;
