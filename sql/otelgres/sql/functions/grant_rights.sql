-- Grants the rights of the group roles, and takes all others from PUBLIC and from them; called whenever functions and
-- views are applied. By default every role may execute every function and use every type.
--   writer  inserts rows. It reads the hashes and ids of dimensions and the digests, nothing else, and has no UPDATE or
--           DELETE. Roll-ups, partitions and retention are done by functions of the owner.
--   reader  the views and functions of otel and compat.
--   tenant  the views of otel_tenant.
-- Functions are granted by name: those that are not listed are called by the owner only. tests/sql/privileges.txt has
-- the result.
CREATE OR REPLACE FUNCTION _otel.grant_rights() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_line text;
    v_owned CONSTANT oid[] := ARRAY(
        SELECT oid FROM pg_namespace WHERE nspname IN ('_otel', 'otel', 'compat', 'otel_tenant'));
    v_others CONSTANT text := (
        SELECT concat_ws(', ', 'PUBLIC', string_agg(rolname, ', ')) FROM pg_roles
        WHERE rolname IN ('otelgres_writer', 'otelgres_reader', 'otelgres_tenant'));
BEGIN
    FOR v_line IN
        SELECT format('REVOKE ALL ON %s %s FROM %s', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                      c.oid::regclass, v_others)
        FROM pg_class c WHERE c.relnamespace = ANY (v_owned) AND c.relkind IN ('r', 'p', 'v', 'S')
            AND (c.relacl IS NOT NULL OR EXISTS (
                SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL))
        UNION ALL
        SELECT format('REVOKE ALL ON ROUTINE %s FROM %s', p.oid::regprocedure, v_others)
        FROM pg_proc p WHERE p.pronamespace = ANY (v_owned)
        UNION ALL
        SELECT format('REVOKE ALL ON TYPE %s FROM PUBLIC', t.oid::regtype)
        FROM pg_type t
        WHERE t.typnamespace = ANY (v_owned) AND t.typtype IN ('c', 'd', 'e')
            AND EXISTS (SELECT FROM aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) g WHERE g.grantee = 0)
    LOOP
        EXECUTE v_line;
    END LOOP;

    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'otelgres_writer') THEN
        REVOKE ALL ON SCHEMA otel FROM otelgres_writer;
        GRANT USAGE ON SCHEMA _otel TO otelgres_writer;
        GRANT INSERT ON _otel.spans, _otel.logs, _otel.number_points, _otel.histogram_points,
            _otel.exponential_histogram_points, _otel.summary_points, _otel.digests, _otel.losses TO otelgres_writer;
        -- Not the ids, which the sequences give: a chosen one could be that of rows to come.
        GRANT INSERT (hash, service_name, service_namespace, service_instance_id, attributes, dropped_attributes_count,
            entity_refs, schema_url, repaired, tenant_id) ON _otel.resources TO otelgres_writer;
        GRANT INSERT (hash, name, version, attributes, dropped_attributes_count, schema_url, repaired)
            ON _otel.scopes TO otelgres_writer;
        GRANT INSERT (hash, name, description, unit, type, temporality, is_monotonic, metadata, repaired)
            ON _otel.metrics TO otelgres_writer;
        GRANT INSERT (hash, metric_id, resource_id, scope_id, attributes) ON _otel.series TO otelgres_writer;
        GRANT INSERT (hash, name) ON _otel.tenant_ids TO otelgres_writer;
        GRANT SELECT (id, hash) ON _otel.resources, _otel.scopes, _otel.metrics, _otel.series TO otelgres_writer;
        -- Whose a row is.
        GRANT SELECT (resource_id) ON _otel.series TO otelgres_writer;
        GRANT SELECT (tenant_id) ON _otel.resources TO otelgres_writer;
        GRANT SELECT ON _otel.tenant_ids TO otelgres_writer;
        GRANT SELECT ON _otel.digests, _otel.identity, _otel.migrations, _otel.repeatable_migrations, _otel.partitioned
            TO otelgres_writer;
        GRANT EXECUTE ON FUNCTION
            _otel.add_started_flows(interval),
            _otel.drop_expired(text),
            _otel.hours_to_roll_up(timestamptz),
            _otel.make_partition(text, timestamptz),
            _otel.other_content(text, jsonb),
            _otel.publish_receiver(uuid, text, integer, text, timestamptz, jsonb),
            _otel.refresh_open_starts(interval),
            _otel.roll_up_hour(timestamptz, bigint),
            _otel.wait_for_writers()
            TO otelgres_writer;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'otelgres_reader') THEN
        GRANT USAGE ON SCHEMA otel, compat TO otelgres_reader;
        -- All: these schemas contain only views, and those of loggers are created at run time.
        GRANT SELECT ON ALL TABLES IN SCHEMA otel, compat TO otelgres_reader;
        ALTER DEFAULT PRIVILEGES IN SCHEMA otel, compat GRANT SELECT ON TABLES TO otelgres_reader;
        GRANT EXECUTE ON FUNCTION
            otel.alert_disk_budget(),
            otel.alert_error_rate(),
            otel.alert_flow_error_rate(),
            otel.alert_flow_p95(),
            otel.alert_incomplete_flows(),
            otel.alert_losses(),
            otel.alert_missing_heartbeat(),
            otel.alert_partitions_ahead(),
            otel.alert_receiver_silent(),
            otel.alert_rule(text, text),
            otel.alert_spool_age(),
            otel.alert_stalled_work(),
            otel.alerts(),
            otel.array_concat(anycompatiblearray),
            otel.critical_path(text),
            otel.critical_path(uuid),
            otel.histogram_buckets(text, timestamptz, timestamptz, interval, text, jsonb),
            otel.histogram_quantiles(text, timestamptz, timestamptz, interval, double precision[], text, jsonb),
            otel.latency_quantiles(smallint[], bigint[], double precision[]),
            otel.metric_rate(text, timestamptz, timestamptz, interval, text, jsonb),
            otel.operation_history(timestamptz, timestamptz, text),
            otel.service_history(timestamptz, timestamptz),
            otel.service_map(timestamptz, timestamptz),
            otel.span_tree(text),
            otel.span_tree(uuid),
            otel.tail_logs(pg_snapshot, timestamptz, text, integer, text, uuid),
            otel.tail_spans(pg_snapshot, timestamptz, text, boolean, text, uuid, boolean),
            compat.aggregate_progress(uuid),
            compat.execution_months(timestamptz, timestamptz),
            compat.get_error_summary(uuid),
            compat.get_experiment_logs(uuid, text, text, integer),
            compat.get_progress_tree(uuid),
            compat.phase_reliability(timestamptz, timestamptz),
            compat.terminal_reliability(timestamptz, timestamptz),
            -- Called by the views, with the rights of whoever reads them.
            _otel.number_of(text),
            _otel.span_kind(integer),
            _otel.span_status(integer),
            _otel.time_of(bigint)
            TO otelgres_reader;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'otelgres_tenant') THEN
        GRANT USAGE ON SCHEMA otel_tenant TO otelgres_tenant;
        GRANT SELECT ON ALL TABLES IN SCHEMA otel_tenant TO otelgres_tenant;
        PERFORM _otel.grant_tenant_rights();
    END IF;
END
$$;
