-- Marks the parts of flows that also have spans in other weeks. Called for every new part (of weeks p_first to p_last),
-- because nothing in a part shows whether another part exists. One lookup of all flows per week; if the new parts are
-- all in one week, as they nearly always are, that week is omitted. A generic plan: planning for the given ids would
-- cost more than the lookup.
DROP FUNCTION IF EXISTS _otel.link_flow_parts(uuid[], timestamptz[]);
CREATE OR REPLACE FUNCTION _otel.link_flow_parts(p_traces uuid[], p_first timestamptz, p_last timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_split uuid[];
BEGIN
    SELECT array_agg(s.trace_id) INTO v_split
    FROM (
        SELECT DISTINCT o.trace_id FROM _otel.flow_parts o
        WHERE o.trace_id = ANY (p_traces) AND (o.week < p_last OR o.week >= p_first + interval '7 days')
        GROUP BY o.trace_id, o.tenant_id
        HAVING count(*) > 1 OR p_first = p_last
    ) s;
    IF v_split IS NOT NULL THEN
        UPDATE _otel.flow_parts SET linked = true WHERE trace_id = ANY (v_split) AND NOT linked;
    END IF;
END
$$;
