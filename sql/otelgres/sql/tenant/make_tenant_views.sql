-- (Re)creates the views of otel_tenant: each is the view of otel of the same name, over the rows of one tenant. In its
-- text every private relation is replaced by its counterpart with the prefix tenant_, which has only those rows, and every
-- view of otel by that of otel_tenant: so no row of another tenant can be joined, counted, or hide one.
CREATE OR REPLACE FUNCTION _otel.make_tenant_views() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- Each after those that it reads. Not here, because they are no telemetry of a tenant: receivers, partitions,
    -- migrations, retention, flow_expectations, alert_rules.
    v_views CONSTANT text[] := ARRAY[
        '_otel.merged_flows', 'otel.flows', 'otel.spans', 'otel.logs', 'otel.span_starts', 'otel.process_liveness',
        'otel.in_flight', 'otel.metric_points', 'otel.checkpoints', 'otel.phase_timing', 'otel.span_stats',
        'otel.service_stats', 'otel.hour_stats', 'otel.flow_trends', 'otel.services', 'otel.service_edges', 'otel.losses',
        'otel.metrics', 'otel.expected_checkpoints', 'otel.incomplete_flows', 'otel.heartbeats', 'otel.subscriptions'];
    v_view text;
    v_line text;
    v_text text;
BEGIN
    FOREACH v_view IN ARRAY v_views LOOP
        v_text := pg_get_viewdef(v_view::regclass);
        -- A point belongs to a tenant by its series: without the series there must be no row.
        v_text := replace(v_text, 'LEFT JOIN _otel.series', 'JOIN _otel.series');
        v_text := regexp_replace(
            v_text, '\m_otel\.(spans|logs|resources|series|losses|span_stats|flow_rows|hour_rows|service_rows|merged_flows'
            || '|flow_expectations' || CASE v_view WHEN 'otel.metrics' THEN '|metrics' ELSE '' END || ')\M', '_otel.tenant_\1', 'g');
        v_text := regexp_replace(
            v_text, '\motel\.(' || (SELECT string_agg(split_part(v, '.', 2), '|') FROM unnest(v_views) v WHERE v LIKE 'otel.%')
            || ')\M(?!\()', 'otel_tenant.\1', 'g');
        IF v_view LIKE '\_otel.%' THEN
            EXECUTE format('CREATE OR REPLACE VIEW _otel.tenant_%I AS %s', split_part(v_view, '.', 2), v_text);
        ELSE
            EXECUTE format('CREATE OR REPLACE VIEW otel_tenant.%I WITH (security_barrier) AS %s', split_part(v_view, '.', 2), v_text);
            FOR v_line IN
                SELECT CASE WHEN d.objsubid = 0
                            THEN format('COMMENT ON VIEW otel_tenant.%I IS %L', split_part(v_view, '.', 2), 'Of the tenant: ' || d.description)
                            ELSE format('COMMENT ON COLUMN otel_tenant.%I.%I IS %L', split_part(v_view, '.', 2), a.attname, d.description) END
                FROM pg_description d
                LEFT JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0
                WHERE d.classoid = 'pg_class'::regclass AND d.objoid = v_view::regclass
            LOOP
                EXECUTE v_line;
            END LOOP;
        END IF;
    END LOOP;
END
$$;
SELECT _otel.make_tenant_views();
