-- Grants the rights of the group roles; called whenever functions and views are applied. If the migrating role may do
-- so, otelgres_owner becomes the owner of all objects: SECURITY DEFINER functions of a superuser would run with its
-- rights.
--   writer  inserts rows and reads those needed to recognise duplicates; no UPDATE or DELETE. Roll-ups, partitions and
--           retention are done by functions of the owner.
--   reader  the views and functions of otel and compat.
--   tenant  the views of otel_tenant.
CREATE OR REPLACE FUNCTION _otel.grant_rights() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_line text;
    v_owned CONSTANT oid[] := ARRAY(
        SELECT oid FROM pg_namespace WHERE nspname IN ('_otel', 'otel', 'compat', 'otel_tenant'));
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'otelgres_owner')
        AND EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND rolsuper)
    THEN
        FOR v_line IN
            SELECT format('ALTER SCHEMA %I OWNER TO otelgres_owner', n.nspname) FROM pg_namespace n
            WHERE n.oid = ANY (v_owned) AND pg_get_userbyid(n.nspowner) <> 'otelgres_owner'
            UNION ALL
            SELECT format('ALTER TABLE %s OWNER TO otelgres_owner', c.oid::regclass) FROM pg_class c
            WHERE c.relnamespace = ANY (v_owned) AND c.relkind IN ('r', 'p', 'v')
                AND pg_get_userbyid(c.relowner) <> 'otelgres_owner'
            UNION ALL
            SELECT format('ALTER ROUTINE %s OWNER TO otelgres_owner', p.oid::regprocedure) FROM pg_proc p
            WHERE p.pronamespace = ANY (v_owned) AND pg_get_userbyid(p.proowner) <> 'otelgres_owner'
            UNION ALL
            SELECT format('ALTER TYPE %s OWNER TO otelgres_owner', t.oid::regtype) FROM pg_type t
            LEFT JOIN pg_class c ON c.oid = t.typrelid
            WHERE t.typnamespace = ANY (v_owned) AND t.typtype IN ('c', 'd', 'e') AND coalesce(c.relkind, 'c') = 'c'
                AND pg_get_userbyid(t.typowner) <> 'otelgres_owner'
        LOOP
            EXECUTE v_line;
        END LOOP;
    END IF;

    -- By default every role may call every function. The schema excludes most roles; this excludes the writers.
    REVOKE EXECUTE ON FUNCTION _otel.drop_partitions(text, timestamptz), _otel.drop_expired(), _otel.grant_rights(),
        _otel.make_partition(text, timestamptz), _otel.hours_to_roll_up(timestamptz), _otel.wait_for_writers(),
        _otel.roll_up_hour(timestamptz), _otel.add_started_flows(interval), _otel.refresh_open_starts(interval) FROM PUBLIC;

    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'otelgres_writer') THEN
        GRANT USAGE ON SCHEMA _otel, otel TO otelgres_writer;
        GRANT SELECT, INSERT ON _otel.spans, _otel.logs, _otel.number_points, _otel.histogram_points,
            _otel.exponential_histogram_points, _otel.summary_points, _otel.digests, _otel.resources, _otel.scopes,
            _otel.metrics, _otel.series, _otel.tenant_ids TO otelgres_writer;
        GRANT INSERT ON _otel.losses TO otelgres_writer;
        GRANT SELECT, INSERT, UPDATE, DELETE ON _otel.receivers TO otelgres_writer;
        GRANT SELECT ON _otel.identity, _otel.migrations, _otel.repeatable_migrations, _otel.partitioned TO otelgres_writer;
        GRANT EXECUTE ON FUNCTION _otel.make_partition(text, timestamptz), _otel.drop_expired(),
            _otel.hours_to_roll_up(timestamptz), _otel.wait_for_writers(), _otel.roll_up_hour(timestamptz),
            _otel.add_started_flows(interval), _otel.refresh_open_starts(interval) TO otelgres_writer;
        -- Shown by `otelgres serve` on a terminal.
        GRANT SELECT ON otel.flows TO otelgres_writer;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'otelgres_reader') THEN
        GRANT USAGE ON SCHEMA otel, compat TO otelgres_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA otel, compat TO otelgres_reader;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA otel, compat TO otelgres_reader;
        -- Relations of schema compat may be created later by function calls.
        ALTER DEFAULT PRIVILEGES IN SCHEMA otel, compat GRANT SELECT ON TABLES TO otelgres_reader;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'otelgres_tenant') THEN
        GRANT USAGE ON SCHEMA otel_tenant TO otelgres_tenant;
        GRANT SELECT ON ALL TABLES IN SCHEMA otel_tenant TO otelgres_tenant;
    END IF;
END
$$;
